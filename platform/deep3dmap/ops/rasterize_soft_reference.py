"""The soft rasteriser in plain torch, for any floating-point type and device: the reference for the kernels.

Slow: the cost is proportional to pixels times faces.
"""

import torch
from torch import Tensor

NO_AREA = 1e-3
NEAREST = 1e-8
MIN_CLIPPED_SUM = 1e-5
PAIRS_AT_ONCE = 1 << 22


def select_faces(
    vertices: Tensor, faces: Tensor, height: int, width: int, count: int, blur_radius: float, perspective: bool, clip: bool,
    cull_back: bool, by_distance: bool = False,
) -> Tensor:  # fmt: skip
    """Return the nearest `count` faces of every pixel, (H, W, count) int64, padded with -1."""
    chosen = torch.full((height * width, count), -1, dtype=torch.int64, device=vertices.device)
    drawn = drawable(vertices, faces, perspective, cull_back).nonzero()[:, 0]
    if len(drawn) == 0:
        return chosen.reshape(height, width, count)
    rows = max(1, PAIRS_AT_ONCE // len(drawn))
    for begin in range(0, height * width, rows):
        pixels = torch.arange(begin, min(begin + rows, height * width), device=vertices.device)
        depth, _, distance = look(corners_of(vertices, faces[drawn], pixels[:, None], width), perspective, clip)
        outside = (distance >= blur_radius**2) & (distance >= 0)
        key = (distance if by_distance else depth).masked_fill(
            outside | ((depth < 0) if perspective else torch.zeros_like(outside)), torch.inf
        )
        nearest = key.argsort(dim=1, stable=True)[:, :count]
        found = torch.where(key.gather(1, nearest).isfinite(), drawn[nearest], -1)
        chosen[pixels, : found.shape[1]] = found
    return chosen.reshape(height, width, count)


def evaluate_faces(
    vertices: Tensor, faces: Tensor, face_id: Tensor, perspective: bool, clip: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return depth, barycentrics and signed squared distance of the fragments (H, W, K), 0 where face_id is -1."""
    at = (face_id >= 0).nonzero()
    width = face_id.shape[1]
    depth, distance = vertices.new_zeros(face_id.shape), vertices.new_zeros(face_id.shape)
    barycentrics = vertices.new_zeros(*face_id.shape, 3)
    if len(at) == 0:
        return depth + 0 * vertices.nan_to_num(0, 0, 0).sum(), barycentrics, distance
    where = at.unbind(1)
    corners = corners_of(vertices, faces[face_id[where]], where[0] * width + where[1], width)
    values = look(corners, perspective, clip)
    return depth.index_put(where, values[0]), barycentrics.index_put(where, values[1]), distance.index_put(where, values[2])


def drawable(vertices: Tensor, faces: Tensor, perspective: bool, cull_back: bool) -> Tensor:
    """Return a mask (F,) of faces with area, finite corners and, with perspective, no corner at or behind the camera."""
    corners = vertices[faces]
    side, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = side[:, 0] * other[:, 1] - other[:, 0] * side[:, 1]
    good = corners.isfinite().all(2).all(1) & (area.abs() > NO_AREA)
    if perspective:
        good = good & (corners[..., 2] >= NEAREST).all(1)
    return good & (area <= 0) if cull_back else good


def corners_of(vertices: Tensor, faces: Tensor, pixels: Tensor, width: int) -> Tensor:
    """Return the corners (..., 3, 3) of faces (..., 3), x and y relative to the centres of pixels (...), row-major indices."""
    centre = torch.stack([pixels % width + 0.5, pixels // width + 0.5, torch.zeros_like(pixels) + 0.0], -1)
    return vertices[faces] - centre.to(vertices)[..., None, :]


def look(corners: Tensor, perspective: bool, clip: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return depth (...), barycentrics (..., 3) and signed squared distance (...) of corners (..., 3, 3) seen from (0, 0)."""
    x, y, z = corners.unbind(-1)
    following, last = [1, 2, 0], [2, 0, 1]
    edge = x[..., following] * y[..., last] - y[..., following] * x[..., last]
    weight = edge / edge.sum(-1, keepdim=True)
    inside = (weight > 0).all(-1)
    barycentrics = weight
    if perspective:
        top = weight * z[..., following] * z[..., last]
        total = top.sum(-1, keepdim=True)
        barycentrics = top / torch.where(total.abs() > 1e-12, total, 1e-12)
    if clip:
        positive = barycentrics.clamp(min=0)
        barycentrics = positive / positive.sum(-1, keepdim=True).clamp(min=MIN_CLIPPED_SUM)
    distance = _edge_distance(corners[..., :2], following)
    return (barycentrics * z).sum(-1), barycentrics, torch.where(inside, -distance, distance)


def _edge_distance(corners: Tensor, following: list[int]) -> Tensor:
    step = corners[..., following, :] - corners
    length = step.square().sum(-1)
    along = -(corners * step).sum(-1) / torch.where(length > 0, length, 1.0)
    along = torch.where(length > 0, along.clamp(0, 1), 1.0).detach()
    return (corners + along[..., None] * step).square().sum(-1).amin(-1)

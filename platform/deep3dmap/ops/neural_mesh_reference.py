"""The rasteriser of the Neural 3D Mesh Renderer in plain Python: slow, follows the paper closely. For small images."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor


def find_faces(
    vertices: Tensor, faces: Tensor, height: int, width: int, near: float, far: float, perspective: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return depth (H, W), face_id (H, W) and barycentrics (H, W, 3); see `ops.neural_mesh.find_faces`."""
    device = vertices.device
    depth = torch.zeros(height, width, dtype=torch.float32, device=device)
    face_id = torch.full((height, width), -1, dtype=torch.int64, device=device)
    barycentrics = torch.zeros(height, width, 3, dtype=torch.float32, device=device)
    x = torch.arange(width, dtype=torch.float64, device=device) + 0.5
    y = torch.arange(height, dtype=torch.float64, device=device)[:, None] + 0.5
    for index, face in enumerate(faces.tolist()):
        corners = vertices[face].double()
        if not _is_drawn(corners, perspective):
            continue
        values = torch.stack([-_edge_value(corners, (i + 1) % 3, (i + 2) % 3, x, y) for i in range(3)], -1)
        total = values.sum(-1)
        scaled = values / corners[:, 2] if perspective else values
        weights = scaled / scaled.sum(-1, keepdim=True)
        here = (total / scaled.sum(-1) if perspective else (weights * corners[:, 2]).sum(-1)).float()
        covered = (values >= 0).all(-1) & (total > 0) & (here > near) & (here < far)
        nearer = covered & ((face_id < 0) | (here < depth))
        depth = torch.where(nearer, here, depth)
        face_id = torch.where(nearer, index, face_id)
        barycentrics = torch.where(nearer[..., None], weights.float(), barycentrics)
    return depth, face_id, barycentrics


def depth_of_faces(vertices: Tensor, faces: Tensor, face_id: Tensor, perspective: bool) -> Tensor:
    """Return the depth (H, W) of the visible faces, 0 in empty pixels, differentiable by autograd."""
    rows, columns = (face_id >= 0).nonzero().unbind(1)
    corners = vertices.double()[faces[face_id[rows, columns]]]
    offset = corners[..., :2] - torch.stack([columns, rows], 1)[:, None].double() - 0.5
    following, last = offset.roll(-1, 1), offset.roll(-2, 1)
    areas = following[..., 0] * last[..., 1] - following[..., 1] * last[..., 0]
    weights = areas / areas.sum(1, keepdim=True)
    z = corners[..., 2]
    depth = 1 / (weights / z).sum(1) if perspective else (weights * z).sum(1)
    empty = torch.zeros(face_id.shape, dtype=vertices.dtype, device=vertices.device)
    return empty.index_put((rows, columns), depth.to(vertices.dtype))


def follow_edges_backward(
    vertices: Tensor, faces: Tensor, face_id: Tensor, image: Tensor, gradient: Tensor, margin: tuple[float, float]
) -> Tensor:
    """Return the approximate gradient (F, 3, 2) with respect to x and y of each face corner (Kato et al., 2018, section 3.2).

    image, gradient: (H, W, C), the rendered image and the gradient of the loss with respect to it. margin: pixels added to
    distances along x and y.
    """
    result = torch.zeros(len(faces), 3, 2, dtype=torch.float64)
    for index in face_id.unique().tolist():
        if index < 0 or not torch.isfinite(vertices[faces[index]]).all():
            continue
        corners = vertices[faces[index], :2].double()
        for axis in (0, 1):
            shown = _turned(face_id, image.double(), gradient.double(), axis)
            for push in _pushes(corners, index, shown, axis):
                result[index, push.corner, axis] -= push.delta / (push.distance + math.copysign(margin[axis], push.distance))
    return result.to(vertices)


class _Picture(NamedTuple):
    """An image whose lines run along the axis in which corners move."""

    face_id: list[list[int]]
    image: Tensor
    gradient: Tensor


class _Push(NamedTuple):
    """A pixel whose loss would decrease by `delta` if `corner` moved by `distance` pixels, up to sign."""

    corner: int
    delta: float
    distance: float


class _Crossing(NamedTuple):
    """The crossing of an edge with a line of pixel centres, and the pixels on either side; outward is +1 or -1."""

    line: int
    place: float
    inside: int
    outside: int
    outward: int
    shares: list[tuple[int, float]]


def _turned(face_id: Tensor, image: Tensor, gradient: Tensor, axis: int) -> _Picture:
    if axis == 1:
        face_id, image, gradient = face_id.T, image.transpose(0, 1), gradient.transpose(0, 1)
    return _Picture(face_id.tolist(), image, gradient)


def _pushes(corners: Tensor, index: int, shown: _Picture, axis: int) -> Iterator[_Push]:
    lines, length = shown.image.shape[:2]
    for edge in range(3):
        for crossing in _crossings(corners, edge, axis, lines, length):
            for pixel, other in _pixels(crossing, index, shown.face_id[crossing.line], length):
                color, wanted = shown.image[crossing.line], shown.gradient[crossing.line, pixel]
                delta = float(((color[pixel] - color[other]) * wanted).sum())
                if delta <= 0:
                    continue
                # A pixel centre on the edge counts as inside.
                offset = pixel - crossing.place or -0.0 * crossing.outward
                for corner, share in crossing.shares:
                    yield _Push(corner, delta, offset * share)


def _pixels(crossing: _Crossing, index: int, face_id: list[int], length: int) -> Iterator[tuple[int, int]]:
    """Yield pixels that would change colour, each with the pixel whose colour it would take."""
    if face_id[crossing.inside] == index:
        pixel = crossing.outside
        while 0 <= pixel < length:
            yield pixel, crossing.inside
            pixel += crossing.outward
    pixel = crossing.inside
    while 0 <= pixel < length:
        if face_id[pixel] == index:
            yield pixel, crossing.outside
        pixel -= crossing.outward


def _crossings(corners: Tensor, edge: int, axis: int, lines: int, length: int) -> Iterator[_Crossing]:
    """Yield crossings of one edge with pixel rows (axis 0: corners move along x) or columns (axis 1), except at the border."""
    start, end = edge, (edge + 1) % 3
    along, across = axis, 1 - axis
    s0, s1 = float(corners[start, across]) - 0.5, float(corners[end, across]) - 0.5
    p0, p1 = float(corners[start, along]) - 0.5, float(corners[end, along]) - 0.5
    if s0 == s1:
        return
    # Faces appear counter-clockwise and y points down: the outside of a downward edge is on its left.
    outward = (1 if s0 > s1 else -1) if axis == 0 else (1 if s0 < s1 else -1)
    for line in range(max(math.ceil(min(s0, s1)), 0), min(math.floor(max(s0, s1)), lines - 1) + 1):
        place = (p1 - p0) / (s1 - s0) * (line - s0) + p0
        inside = math.floor(place) if outward > 0 else math.ceil(place)
        outside = inside + outward
        if not (0 <= inside < length and 0 <= outside < length):
            continue
        shares = [(start, (s1 - s0) / (s1 - line))] if s1 != line else []
        shares += [(end, (s1 - s0) / (line - s0))] if s0 != line else []
        yield _Crossing(line, place, inside, outside, outward, shares)


def _is_drawn(corners: Tensor, perspective: bool) -> bool:
    if not torch.isfinite(corners).all() or (perspective and bool((corners[:, 2] <= 0).any())):
        return False
    (ax, ay), (bx, by) = (corners[1:, :2] - corners[0, :2]).unbind()
    # y points down: triangles that appear counter-clockwise have a negative area.
    return bool(ax * by - bx * ay < 0)


def _edge_value(corners: Tensor, i: int, j: int, x: Tensor, y: Tensor) -> Tensor:
    """Evaluate edge function i -> j at (x, y), always from its left end, so that adjacent faces agree bitwise."""
    sign = 1.0
    if corners[i, :2].tolist() > corners[j, :2].tolist():
        i, j, sign = j, i, -1.0
    p, q = corners[i], corners[j]
    a, b = p[1] - q[1], q[0] - p[0]
    return sign * (a * x + (b * y - (a * p[0] + b * p[1])))

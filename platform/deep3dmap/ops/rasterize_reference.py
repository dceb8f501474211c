"""Z-buffer rasterisation in plain torch, one triangle at a time: slow, and obviously right."""

import torch
from torch import Tensor


def rasterize(
    vertices: Tensor, faces: Tensor, height: int, width: int, perspective: bool, cull_back: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return depth (H, W), face_id (H, W) and barycentrics (H, W, 3); meaning as `ops.rasterize.rasterize`."""
    device = vertices.device
    depth = torch.zeros(height, width, dtype=torch.float32, device=device)
    face_id = torch.full((height, width), -1, dtype=torch.int64, device=device)
    barycentrics = torch.zeros(height, width, 3, dtype=torch.float32, device=device)
    columns = torch.arange(width, dtype=torch.float64, device=device) + 0.5
    rows = torch.arange(height, dtype=torch.float64, device=device)[:, None] + 0.5
    for index, face in enumerate(faces.tolist()):
        corners = vertices[face].double()
        if not torch.isfinite(corners).all() or (perspective and (corners[:, 2] <= 0).any()):
            continue
        area = _edge_value(corners, [0, 1, 2], 0, 1, corners[2, 0], corners[2, 1])
        if area == 0 or (cull_back and area > 0):
            continue
        weights = torch.stack([_edge_value(corners, face, (i + 1) % 3, (i + 2) % 3, columns, rows) for i in range(3)], -1)
        covered = (weights * area.sign() >= 0).all(-1)
        affine = weights / area
        z = corners[:, 2]
        if perspective:
            here = 1 / (affine / z).sum(-1)
            correct = affine / z * here[..., None]
        else:
            here, correct = (affine * z).sum(-1), affine
        nearer = covered & ((face_id < 0) | (here.float() < depth))
        depth = torch.where(nearer, here.float(), depth)
        face_id = torch.where(nearer, index, face_id)
        barycentrics = torch.where(nearer[..., None], correct.float(), barycentrics)
    return depth, face_id, barycentrics


def _edge_value(corners: Tensor, face: list[int], i: int, j: int, x: Tensor, y: Tensor) -> Tensor:
    """Evaluate edge i -> j at (x, y), always from its lower vertex, so that neighbours agree to the last bit."""
    sign = 1.0
    if face[i] > face[j]:
        i, j, sign = j, i, -1.0
    p, q = corners[i], corners[j]
    a, b = p[1] - q[1], q[0] - p[0]
    return sign * (a * x + (b * y - (a * p[0] + b * p[1])))

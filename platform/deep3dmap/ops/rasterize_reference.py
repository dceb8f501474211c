"""Z-buffer rasterisation in plain torch, one triangle at a time: slow, but easy to verify."""

import torch
from torch import Tensor


def rasterize(
    vertices: Tensor, faces: Tensor, height: int, width: int, perspective: bool, cull_back: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return depth (H, W), face_id (H, W) and barycentrics (H, W, 3); see `ops.rasterize.rasterize`."""
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
        (ax, ay), (bx, by) = (corners[1:, :2] - corners[0, :2]).unbind()
        area = ax * by - bx * ay
        if area == 0 or (cull_back and area > 0):
            continue
        values = torch.stack([_edge_value(corners, (i + 1) % 3, (i + 2) % 3, columns, rows) for i in range(3)], -1)
        values = values * area.sign()
        total = values.sum(-1)
        covered = (values >= 0).all(-1) & (total > 0)
        z = corners[:, 2]
        if perspective:
            scaled = values / z
            here = total / scaled.sum(-1)
            correct = scaled / scaled.sum(-1, keepdim=True)
        else:
            correct = values / total[..., None]
            here = (correct * z).sum(-1)
        nearer = covered & ((face_id < 0) | (here.float() < depth))
        depth = torch.where(nearer, here.float(), depth)
        face_id = torch.where(nearer, index, face_id)
        barycentrics = torch.where(nearer[..., None], correct.float(), barycentrics)
    return depth, face_id, barycentrics


def _edge_value(corners: Tensor, i: int, j: int, x: Tensor, y: Tensor) -> Tensor:
    """Evaluate edge function i -> j at (x, y), always from its left end, so that adjacent faces agree bitwise."""
    sign = 1.0
    if corners[i, :2].tolist() > corners[j, :2].tolist():
        i, j, sign = j, i, -1.0
    p, q = corners[i], corners[j]
    a, b = p[1] - q[1], q[0] - p[0]
    return sign * (a * x + (b * y - (a * p[0] + b * p[1])))

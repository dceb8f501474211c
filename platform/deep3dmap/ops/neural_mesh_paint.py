"""Colours for the faces of `render_neural_mesh`: per vertex, or from the texture cubes of Kato et al. (2018)."""

import torch
from torch import Tensor

from deep3dmap.ops.neural_mesh import Paint
from deep3dmap.ops.rasterize import Fragments, interpolate


def paint_vertices(colors: Tensor) -> Paint:
    """Interpolate vertex colours (V, C) over the faces, perspective-correctly. Differentiable in the colours."""
    return lambda seen, faces: interpolate(seen, faces, colors)


def paint_cubes(cubes: Tensor, epsilon: float = 1e-3) -> Paint:
    """Sample each face's texture cube, (F, S, S, S, C), trilinearly at its barycentrics. Differentiable in the cubes.

    The texel at [S - 1, 0, 0] is the colour of the first corner, and so on. epsilon: margin by which texel coordinates stay
    below S - 1. Back faces, with indices from F, use the cube of the face they copy, with the corners reversed. Raises
    ValueError if cubes has the wrong shape; painting raises ValueError if the number of faces is neither F nor 2 F.
    """
    side = cubes.shape[1] if cubes.dim() == 5 else 0
    if side < 1 or tuple(cubes.shape[1:4]) != (side, side, side):
        raise ValueError(f"cubes must be (F, S, S, S, C), got {tuple(cubes.shape)}")

    def paint(seen: Fragments, faces: Tensor) -> Tensor:
        if len(faces) not in (len(cubes), 2 * len(cubes)):
            raise ValueError(f"got {len(cubes)} cubes for {len(faces)} faces")
        there = seen.face_id >= 0
        face, weights = seen.face_id[there], seen.barycentrics[there].to(cubes.dtype)
        back = face >= len(cubes)
        weights = torch.where(back[:, None], weights.flip(1), weights)
        image = cubes.new_zeros(*seen.face_id.shape, cubes.shape[4])
        image[there] = _trilinear(cubes, face % max(len(cubes), 1), weights, epsilon)
        return image.permute(2, 0, 1)

    return paint


def cubes_from_corners(colors: Tensor) -> Tensor:
    """Return cubes (F, 2, 2, 2, C) that linearly interpolate the corner colours (F, 3, C) (Wu et al., CVPR 2020)."""
    half = colors.new_tensor([0.5, 0.5, 0.5])
    one = torch.eye(3, dtype=colors.dtype, device=colors.device)
    rows = [half, one[2], one[1], half - one[0], one[0], half - one[1], half - one[2], torch.zeros_like(half)]
    return torch.einsum("kc,fcn->fkn", torch.stack(rows), colors).reshape(len(colors), 2, 2, 2, colors.shape[2])


def _trilinear(cubes: Tensor, face: Tensor, weights: Tensor, epsilon: float) -> Tensor:
    side = cubes.shape[1]
    if side == 1:
        return cubes[face, 0, 0, 0]
    place = (weights * (side - 1)).clamp(0, side - 1 - epsilon)
    low = place.long()
    share = place - low
    color = cubes.new_zeros(len(face), cubes.shape[4])
    for corner in range(8):
        step = torch.tensor([corner >> k & 1 for k in range(3)], device=face.device)
        weight = torch.where(step > 0, share, 1 - share).prod(1)
        i, j, k = (low + step).unbind(1)
        color = color + weight[:, None] * cubes[face, i, j, k]
    return color

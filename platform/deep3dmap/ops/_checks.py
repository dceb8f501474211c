"""Argument checks that ops run before calling a kernel: shapes, valid ids and image sizes."""

import torch
from torch import Tensor

MAX_PIXELS = 2**31 - 1


def check_mesh(vertices: Tensor, faces: Tensor, ids: bool = True, batched: bool = False) -> None:
    """Raise ValueError unless vertices are floating (V, 3) and faces int64 (F, 3) on the same device, with ids in [0, V).

    ids: whether to check the ids here, which synchronises with CUDA, or to leave that to the kernel. batched: whether vertices
    may also be (B, V, 3), B >= 1.
    """
    several = batched and vertices.dim() == 3 and len(vertices) > 0
    if not vertices.is_floating_point() or not (vertices.dim() == 2 or several) or vertices.shape[-1] != 3:
        shape = "(V, 3) or (B, V, 3), B >= 1" if batched else "(V, 3)"
        raise ValueError(f"vertices must be floating {shape}, got {vertices.dtype} {tuple(vertices.shape)}")
    if faces.dtype != torch.int64 or faces.dim() != 2 or faces.shape[1] != 3:
        raise ValueError(f"faces must be int64 (F, 3), got {faces.dtype} {tuple(faces.shape)}")
    if faces.device != vertices.device:
        raise ValueError(f"faces are on {faces.device}, but vertices are on {vertices.device}")
    low, high = _range(faces) if ids else (0, -1)
    if low < 0 or high >= vertices.shape[-2]:
        raise ValueError(f"faces index vertices {low}..{high}, but there are {vertices.shape[-2]}")


def check_face_ids(face_id: Tensor, faces: Tensor, dimensions: int, rows: int = 0) -> None:
    """Raise ValueError unless face_id is int64 with `dimensions` axes, on the device of faces, in [-1, F); -1 is no face.

    rows: the axis of the rows of the image, followed by that of the columns.
    """
    if face_id.dtype != torch.int64 or face_id.dim() != dimensions or face_id.device != faces.device:
        found = f"{face_id.dtype} {tuple(face_id.shape)} on {face_id.device}"
        raise ValueError(f"face_id must be int64 with {dimensions} dimensions on {faces.device}, got {found}")
    check_image(*face_id.shape[rows : rows + 2])
    low, high = _range(face_id)
    if low < -1 or high >= len(faces):
        raise ValueError(f"face_id indexes faces {low}..{high}, but there are {len(faces)} (-1 = none)")


def check_image(height: int, width: int) -> None:
    """Raise ValueError unless the image has at least one and fewer than 2^31 pixels: kernels index them with 32 bits."""
    if height <= 0 or width <= 0:
        raise ValueError(f"there are no pixels: height and width must be positive, got {height} and {width}")
    if height * width > MAX_PIXELS:
        raise ValueError(f"an image must have fewer than 2^31 pixels, got {height} x {width}")


def _range(ids: Tensor) -> tuple[int, int]:
    """Return the lowest and the highest id, or (0, -1) if there are none."""
    if ids.numel() == 0:
        return 0, -1
    # A single transfer, because each one synchronises with CUDA. The result is not cached: writes through `.data`, a collective
    # or a replayed graph do not change a tensor's version, and CUDA kernels do not check the ids again.
    low, high = torch.stack(torch.aminmax(ids)).tolist()
    return low, high

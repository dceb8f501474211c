"""Projective TSDF integration of depth maps (Curless and Levoy 1996), in place."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from deep3dmap.ops import tsdf_reference
from deep3dmap.ops._backend import Backend, choose, run_native, small_matrix
from deep3dmap.ops._checks import check_image
from deep3dmap.ops._registration import mutating_op


def integrate(
    tsdf: Tensor,
    weight: Tensor,
    depth: Tensor,
    intrinsics: Tensor,
    camera_from_world: Tensor,
    origin: Tensor,
    voxel_size: float,
    truncation: float,
    *,
    color: Tensor | None = None,
    image: Tensor | None = None,
    max_depth: float = math.inf,
    backend: Backend = "auto",
) -> None:
    """Integrate one depth map into a dense grid, in place.

    tsdf, weight: (X, Y, Z) float32, initialised to 1 and 0. tsdf is in units of `truncation`.
    depth: (H, W) float32 metres along the optical axis; 0, non-finite values and values beyond `max_depth` are invalid.
    intrinsics: (3, 3) pixels, centres at +0.5. camera_from_world: (4, 4), OpenCV axes.
    origin: (3,) metres, the sample point of voxel (0, 0, 0); voxel (i, j, k) samples origin + (i, j, k) * voxel_size.
    color: (3, X, Y, Z) float32, running mean of `image`, (3, H, W) RGB in [0, 1]; both or neither.

    A voxel at camera depth z uses the measurement d of the pixel it projects into; where d - z >= -truncation its value becomes
    the running mean, with weight 1 per frame, of min(1, (d - z) / truncation).
    Raises ValueError naming the argument whose shape, type or value is wrong.
    """
    if (color is None) != (image is None):
        raise ValueError("pass both color and image, or neither")
    _check("tsdf", tsdf, 3, tsdf)
    _check("weight", weight, 3, tsdf, tuple(tsdf.shape))
    _check("depth", depth, 2, tsdf)
    check_image(*depth.shape)
    if color is not None and image is not None:
        _check("color", color, 4, tsdf, (3, *tsdf.shape))
        _check("image", image, 3, tsdf, (3, *depth.shape))
    if voxel_size <= 0 or truncation <= 0:
        raise ValueError(f"voxel_size and truncation must be positive metres, got {voxel_size} and {truncation}")
    none = tsdf.new_empty(0)
    native_runs = choose(backend, tsdf.device.type) == "native"
    host = torch.device("cpu") if native_runs else tsdf.device
    small = [
        small_matrix("intrinsics", intrinsics, (3, 3), host),
        small_matrix("camera_from_world", camera_from_world, (4, 4), host),
        small_matrix("origin", origin, (3,), host),
    ]
    # The kernels skip non-finite depths.
    seen = depth.contiguous() if native_runs else torch.nan_to_num(depth, nan=0.0, posinf=0.0, neginf=0.0)
    arguments = (tsdf, weight, none if color is None else color, seen, none if image is None else image.contiguous(), *small)
    run: Callable[..., None] = _native_integrate if native_runs else tsdf_reference.integrate
    run(*arguments, float(voxel_size), float(truncation), float(min(max_depth, 3e38)))


@mutating_op("deep3dmap::integrate", mutated=("tsdf", "weight", "color"))
def _native_integrate(
    tsdf: Tensor,
    weight: Tensor,
    color: Tensor,
    depth: Tensor,
    image: Tensor,
    intrinsics: Tensor,
    camera_from_world: Tensor,
    origin: Tensor,
    voxel_size: float,
    truncation: float,
    max_depth: float,
) -> None:
    camera = (intrinsics.contiguous(), camera_from_world.contiguous(), origin.contiguous())
    run_native(
        "integrate", tsdf.device, tsdf, weight, color, depth.contiguous(), image, *camera, voxel_size, truncation, max_depth
    )


def _check(name: str, value: Tensor, dimensions: int, like: Tensor, shape: tuple[int, ...] | None = None) -> None:
    if value.dtype != torch.float32 or value.dim() != dimensions or value.device != like.device:
        found = f"{value.dtype} {tuple(value.shape)} on {value.device}"
        raise ValueError(f"{name} must be float32 with {dimensions} dimensions on {like.device}, got {found}")
    if shape is not None and tuple(value.shape) != shape:
        raise ValueError(f"{name} must be {shape}, got {tuple(value.shape)}")
    if name in ("tsdf", "weight", "color") and not value.is_contiguous():
        raise ValueError(f"{name} must be contiguous because it is modified in place")

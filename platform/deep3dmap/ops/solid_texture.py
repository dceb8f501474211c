"""Solid textures: colour as a function of position in the object frame, from patterns and smooth noise. No gradients."""

from typing import NamedTuple

import torch
from torch import Tensor

from deep3dmap.ops import solid_texture_reference as reference
from deep3dmap.ops._backend import Backend, choose, run_native

PATTERNS = reference.PATTERNS


class SolidMaterials(NamedTuple):
    """Appearance of M materials. pattern: (M,) uint8, indices into `PATTERNS`.

    numbers: (M, 8) float32: the first colour (RGB, 0 to 1), the difference between the second and the first, the contrast of
    the noise, and the period of the pattern.
    """

    pattern: Tensor
    numbers: Tensor


def solid_albedo(points: Tensor, material: Tensor, materials: SolidMaterials, backend: Backend = "auto") -> Tensor:
    """Return the colour (3, N) of points (3, N) made of the materials `material` (N,) int64. CPU only.

    Raises ValueError naming the argument whose shape or type is wrong, and for material and pattern indices out of range.
    """
    _check(points, material, materials)
    pattern, numbers = materials
    if choose(backend, points.device.type) == "reference":
        return reference.solid_albedo(points, material, pattern, numbers)
    color = torch.empty(3, len(material))
    run_native("solid_albedo", points.device, *_given(points, material, materials), color)
    return color


def solid_shade(
    points: Tensor, material: Tensor, materials: SolidMaterials, received: Tensor, glow: Tensor, backend: Backend = "auto"
) -> Tensor:
    """Return the display colour, (3, N) in [0, 1], of points as in `solid_albedo` that receive the light `received` (N,).

    This is the square root of the squared colour times the light; light 1 leaves the colour unchanged. glow: (M,) minimum light
    of each material. Raises ValueError as `solid_albedo` does.
    """
    _check(points, material, materials)
    _check_numbers("received", received, (points.shape[1],))
    _check_numbers("glow", glow, (len(materials.pattern),))
    if choose(backend, points.device.type) == "reference":
        return reference.solid_shade(points, material, *materials, received, glow)
    color = torch.empty(3, len(material))
    given = (*_given(points, material, materials), received.contiguous(), glow.contiguous())
    run_native("solid_shade", points.device, *given, color)
    return color


def value_noise(points: Tensor, backend: Backend = "auto") -> Tensor:
    """Return smooth random values (N,) in [0, 1] at points (3, N); features are about one unit in size and repeat every 32."""
    _check_points(points)
    if choose(backend, points.device.type) == "reference":
        return reference.value_noise(*points)
    noise = torch.empty(points.shape[1])
    run_native("value_noise", points.device, points.contiguous(), reference.lattice(), noise)
    return noise


def _given(points: Tensor, material: Tensor, materials: SolidMaterials) -> tuple[Tensor, ...]:
    pattern, numbers = materials
    return points.contiguous(), material.contiguous(), pattern.contiguous(), numbers.contiguous(), reference.lattice()


def _check(points: Tensor, material: Tensor, materials: SolidMaterials) -> None:
    _check_points(points)
    if material.dtype != torch.int64 or tuple(material.shape) != (points.shape[1],):
        raise ValueError(f"material must be int64 ({points.shape[1]},), got {material.dtype} {tuple(material.shape)}")
    pattern, numbers = materials
    if pattern.dtype != torch.uint8 or pattern.dim() != 1 or (len(pattern) and int(pattern.max()) >= len(PATTERNS)):
        raise ValueError(f"pattern must be uint8 (M,) below {len(PATTERNS)}")
    _check_numbers("numbers", numbers, (len(pattern), 8))
    if len(material):
        least, most = (int(value) for value in torch.aminmax(material))
        if least < 0 or most >= len(pattern):
            raise ValueError(f"material must be from 0 to {len(pattern) - 1}")


def _check_numbers(name: str, values: Tensor, shape: tuple[int, ...]) -> None:
    if values.dtype != torch.float32 or tuple(values.shape) != shape:
        raise ValueError(f"{name} must be float32 {shape}, got {values.dtype} {tuple(values.shape)}")


def _check_points(points: Tensor) -> None:
    if points.dtype != torch.float32 or points.dim() != 2 or points.shape[0] != 3 or points.device.type != "cpu":
        found = f"{points.dtype} {tuple(points.shape)} on {points.device}"
        raise ValueError(f"points must be float32 (3, N) on the CPU, got {found}")

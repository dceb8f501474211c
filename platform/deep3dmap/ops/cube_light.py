"""Point light with shadows, looked up in a cube of depth maps around it. No gradients."""

from typing import NamedTuple

import torch
from torch import Tensor

from deep3dmap.ops import cube_light_reference as reference
from deep3dmap.ops._backend import Backend, choose, run_native

MAX_SIDE = 8192


class CubeLight(NamedTuple):
    """A point light. place: (3,) position. power: the light received by a nearby surface facing it, times 0.8.

    cube: (6, S, S) depths along -x, +x, -y, +y, -z and +z up to which points are lit. The camera of each side has the next
    coordinate (y after x, x after z) to its right; the border pixels of a side are duplicated. lift: distance along the normal
    by which points are moved before the lookup, so that a surface does not shadow itself.
    """

    place: Tensor
    power: float
    cube: Tensor
    lift: float


def add_cube_light(received: Tensor, points: Tensor, normals: Tensor, light: CubeLight, backend: Backend = "auto") -> None:
    """Add to `received` (N,) the light that points (3, N) with unit normals (3, N) receive, all float32 on the CPU.

    At distance d this is power / (0.8 + 0.45 d^2) times the cosine to the normal times the bilinearly weighted share of the
    four nearest cube pixels whose depth lies beyond the point. Raises ValueError naming the argument of wrong shape or type.
    """
    count = points.shape[-1]
    _check("points", points, (3, count))
    _check("normals", normals, (3, count))
    _check("received", received, (count,))
    if not received.is_contiguous():
        raise ValueError("received must be contiguous because it is modified in place")
    _check("place", light.place, (3,))
    side = light.cube.shape[-1]
    _check("cube", light.cube, (6, side, side))
    if not 3 <= side <= MAX_SIDE:
        raise ValueError(f"the sides of a cube must be 3 to {MAX_SIDE} pixels wide, not {side}")
    given = (points.contiguous(), normals.contiguous(), light.cube.contiguous(), light.place.contiguous())
    if choose(backend, points.device.type) == "reference":
        reference.add_cube_light(received, *given, light.power, light.lift)
    else:
        run_native("cube_light", points.device, *given, light.power, light.lift, received)


def _check(name: str, values: Tensor, shape: tuple[int, ...]) -> None:
    if values.dtype != torch.float32 or tuple(values.shape) != shape or values.device.type != "cpu":
        raise ValueError(
            f"{name} must be float32 {shape} on the CPU, got {values.dtype} {tuple(values.shape)} on {values.device}"
        )

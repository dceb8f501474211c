"""Light of a point with shadows, which a cube of depth maps around it throws. No gradients."""

from typing import NamedTuple

import torch
from torch import Tensor

from deep3dmap.ops import cube_light_reference as reference
from deep3dmap.ops._backend import Backend, choose, run_native

WIDEST = 8192


class CubeLight(NamedTuple):
    """A point light. place: (3,). power: the light that a surface receives which faces it from nearby, times 0.8.

    cube: (6, S, S) the depth along -x, +x, -y, +y, -z and +z up to which things are lit. The cameras of the sides have the next
    coordinate (y after x, x after z) to their right; the outermost pixels of a side are doubled. lift: how far from its surface
    a point is looked up, so that a surface does not shade itself.
    """

    place: Tensor
    power: float
    cube: Tensor
    lift: float


def add_cube_light(received: Tensor, points: Tensor, normals: Tensor, light: CubeLight, backend: Backend = "auto") -> None:
    """Add to `received` (N,) the light that points (3, N) with unit normals (3, N) receive, all float32 on the CPU.

    At distance d it is power / (0.8 + 0.45 d^2) times the cosine to the normal times the share, weighted, of the four nearest
    pixels of the cube that are lit as far as the point. Raises ValueError that names the argument of a wrong shape or type.
    """
    count = points.shape[-1]
    _check("points", points, (3, count))
    _check("normals", normals, (3, count))
    _check("received", received, (count,))
    if not received.is_contiguous():
        raise ValueError("received must be contiguous: it is written to")
    _check("place", light.place, (3,))
    side = light.cube.shape[-1]
    _check("cube", light.cube, (6, side, side))
    if not 3 <= side <= WIDEST:
        raise ValueError(f"the sides of a cube are 3 to {WIDEST} pixels wide, not {side}")
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

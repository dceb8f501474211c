"""Point light with shadows from a cube of depth maps: closed forms, native against reference, invalid arguments."""

from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.ops.cube_light import CubeLight, add_cube_light

BOTH = pytest.mark.parametrize("backend", ["native", "reference"])
PLACE = torch.tensor([0.3, -0.2, 1.0])
OPEN = torch.full((6, 34, 34), torch.inf)


def scattered(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Points in a box of 6 m around the light, with unit normals."""
    generator = torch.Generator().manual_seed(seed)
    places = (torch.rand(3, count, generator=generator) - 0.5) * 6
    return places, torch.nn.functional.normalize(torch.randn(3, count, generator=generator), dim=0)


def light_of(points: torch.Tensor, normals: torch.Tensor, light: CubeLight, backend: Any) -> torch.Tensor:
    received = torch.zeros(points.shape[1])
    add_cube_light(received, points, normals, light, backend)
    return received


@BOTH
def test_without_shadows_it_is_lamberts_law_and_a_falling_strength(backend: Any) -> None:
    points, normals = scattered(500)
    found = light_of(points, normals, CubeLight(PLACE, 1.6, OPEN, 0.03), backend)
    towards = PLACE.numpy()[:, None].astype(np.float64) - points.numpy()
    distance = np.linalg.norm(towards, axis=0)
    cosine = np.maximum((towards * normals.numpy()).sum(0) / distance, 0)
    np.testing.assert_allclose(found, 1.6 * cosine / (0.8 + 0.45 * distance**2), atol=1e-5)
    before = torch.ones(500)
    add_cube_light(before, points, normals, CubeLight(PLACE, 1.6, OPEN, 0.03), backend)
    torch.testing.assert_close(before, 1 + found)


@BOTH
@pytest.mark.parametrize("side", range(6))
def test_each_side_of_the_cube_shades_what_lies_there(side: int, backend: Any) -> None:
    """Sides are ordered -x, +x, -y, +y, -z, +z; points nearer than their depth are lit."""
    cube = OPEN.clone()
    cube[side] = 1.5
    axis, sign = side // 2, 2 * (side % 2) - 1
    points, _ = scattered(4000)
    away = points - PLACE[:, None]
    normals = torch.nn.functional.normalize(-away, dim=0)
    share = light_of(points, normals, CubeLight(PLACE, 1.0, cube, 0.0), backend)
    share /= light_of(points, normals, CubeLight(PLACE, 1.0, OPEN, 0.0), backend)
    on_side = (away.abs().argmax(0) == axis) & (away[axis] * sign > 0)
    shaded = on_side & (away[axis].abs() > 1.5)
    assert shaded.sum() > 20
    assert share[shaded].max() < 1e-6
    torch.testing.assert_close(share[~shaded], torch.ones(int((~shaded).sum())))


@BOTH
def test_the_edge_of_a_shadow_is_as_wide_as_a_pixel(backend: Any) -> None:
    """On the +x side the next coordinate, y, increases to the right: its right half is dark."""
    cube = torch.full((6, 10, 10), torch.inf)
    cube[1, :, 5:] = 0.0  # columns 1 to 8 are the 8 pixels of the image
    y = torch.linspace(-0.5, 0.5, 41)
    points = torch.stack([torch.ones(41), y, torch.zeros(41)])
    normals = torch.nn.functional.normalize(-points, dim=0)
    light = CubeLight(torch.zeros(3), 1.0, cube, 0.0)
    share = light_of(points, normals, light, backend)
    share /= light_of(points, normals, light._replace(cube=torch.full_like(cube, torch.inf)), backend)
    # Pixels are 0.25 wide: their centres are at -0.125, lit, and at 0.125, dark.
    torch.testing.assert_close(share, (0.5 - y / 0.25).clamp(0, 1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [0, 1, 9, 512, 2001])
def test_native_equals_reference_on_any_number_of_threads(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    points, normals = scattered(count, 3)
    cube = torch.rand(6, 34, 34, generator=torch.Generator().manual_seed(4)) * 5
    light = CubeLight(PLACE, 1.6, cube, 0.03)
    mine, other = (light_of(points, normals, light, backend) for backend in ("native", "reference"))
    torch.testing.assert_close(mine, other, atol=1e-6, rtol=0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(light_of(points, normals, light, "native"), mine)


@BOTH
def test_places_that_are_no_numbers_stay_in_the_cube(backend: Any) -> None:
    odd = torch.tensor([[float("nan"), float("inf"), -float("inf"), 3e38]] * 3)
    light_of(odd, torch.ones(3, 4), CubeLight(PLACE, 1.0, OPEN, 0.03), backend)


def test_wrong_arguments_are_named() -> None:
    points, normals = scattered(4)
    light = CubeLight(PLACE, 1.0, OPEN, 0.0)
    for given, words in (
        ((torch.zeros(3), points, normals, light), "received must be"),
        ((torch.zeros(8)[::2], points, normals, light), "contiguous"),
        ((torch.zeros(4), points.double(), normals, light), "points must be"),
        ((torch.zeros(4), points, normals.T, light), "normals must be"),
        ((torch.zeros(4), points, normals, light._replace(cube=OPEN[:5])), "cube must be"),
        ((torch.zeros(4), points, normals, light._replace(cube=torch.zeros(6, 2, 2))), "3 to 8192 pixels"),
        ((torch.zeros(4), points, normals, light._replace(place=PLACE[:2])), "place must be"),
    ):
        with pytest.raises(ValueError, match=words):
            add_cube_light(*given)

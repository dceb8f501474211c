"""Solid textures: native against reference, noise against another interpolation, closed-form patterns, invalid arguments."""

from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.ops import _backend
from deep3dmap.ops.solid_texture import PATTERNS, SolidMaterials, solid_albedo, solid_shade, value_noise

BOTH = pytest.mark.parametrize("backend", ["native", "reference"])
RED, BLUE = (0.8, 0.2, 0.1), (0.1, 0.2, 0.9)


def materials(grain: float = 0.0, scale: float = 1.0) -> SolidMaterials:
    """One material of each pattern, from red to blue."""
    row = [*RED, *(end - start for start, end in zip(RED, BLUE)), grain, scale]
    return SolidMaterials(torch.arange(len(PATTERNS), dtype=torch.uint8), torch.tensor([row] * len(PATTERNS)))


def points(count: int, reach: float = 5.0, seed: int = 0) -> torch.Tensor:
    return (torch.rand(3, count, generator=torch.Generator().manual_seed(seed)) - 0.5) * 2 * reach


def coloured(pattern: str, places: list[tuple[float, float, float]], backend: Any) -> list[str]:
    """Return the names of the colours at points, compensating for the offset of the patterns."""
    at = torch.tensor(places).T - torch.tensor([[0.0137], [0.0219], [0.0173]])
    color = solid_albedo(at, torch.full((len(places),), PATTERNS.index(pattern)), materials(), backend)
    assert (
        ((color.T - torch.tensor(RED)).abs().amax(1) < 1e-6)
        .logical_or((color.T - torch.tensor(BLUE)).abs().amax(1) < 1e-6)
        .all()
    )
    return ["red" if red else "blue" for red in color[0] > 0.5]


@pytest.mark.parametrize("count", [0, 1, 7, 511, 512, 3001])
def test_native_equals_reference(count: int) -> None:
    at, kinds = points(count), torch.arange(count) % len(PATTERNS)
    mine, other = (solid_albedo(at, kinds, materials(0.5, 0.17), backend) for backend in ("native", "reference"))  # type: ignore[arg-type]
    torch.testing.assert_close(mine, other, atol=1e-6, rtol=0)
    far = points(count, reach=4e4, seed=1)
    torch.testing.assert_close(value_noise(far, "native"), value_noise(far, "reference"), atol=1e-6, rtol=0)


@BOTH
@pytest.mark.parametrize("count", [0, 1, 513, 3001])
def test_shade_is_the_root_of_the_squared_colour_times_the_light(count: int, backend: Any) -> None:
    """Light is clipped to white, and its minimum is the glow of the material; no light at all is black."""
    at, kinds, paint = points(count), torch.arange(count) % len(PATTERNS), materials(0.5, 0.17)
    received = torch.linspace(-0.5, 30, count)
    glow = torch.arange(len(PATTERNS)) * 0.05
    light = torch.maximum(received, glow[kinds])
    expected = (solid_albedo(at, kinds, paint, "reference").double() ** 2 * light).clamp(0, 1).sqrt()
    shade = solid_shade(at, kinds, paint, received, glow, backend)
    torch.testing.assert_close(shade, expected.float(), atol=1e-6, rtol=0)


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    at, kinds = points(5000), torch.arange(5000) % len(PATTERNS)
    one = solid_albedo(at, kinds, materials(0.5), "native"), value_noise(at, "native")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    three = solid_albedo(at, kinds, materials(0.5), "native"), value_noise(at, "native")
    assert all(torch.equal(first, second) for first, second in zip(one, three))


@BOTH
def test_colours_depend_on_the_place_only_and_stay_in_range(backend: Any) -> None:
    at, kinds = points(3000), torch.arange(3000) % len(PATTERNS)
    color = solid_albedo(at, kinds, materials(1.0, 0.3), backend)
    assert color.min() >= 0
    assert color.max() <= 1
    torch.testing.assert_close(solid_albedo(at.flip(1), kinds.flip(0), materials(1.0, 0.3), backend).flip(1), color)


@BOTH
def test_patterns_are_what_their_names_say(backend: Any) -> None:
    assert coloured("plain", [(0.5, 0.5, 0.5), (7.3, -2.0, 1.0)], backend) == ["red", "red"]
    assert coloured("checker", [(0.5, 0.5, 0.5), (1.5, 0.5, 0.5), (1.5, 1.5, 0.5), (-0.5, 0.5, 0.5)], backend) == [
        *("red", "blue", "red", "blue")
    ]
    assert coloured("stripes", [(0.1, 0.1, 9.0), (0.3, 0.3, 9.0), (0.7, 0.5, 2.0)], backend) == ["blue", "red", "blue"]
    assert coloured("dots", [(0.5, 0.5, 0.5), (0.5, 0.5, 0.9), (0.1, 0.5, 0.5)], backend) == ["blue", "red", "red"]


@BOTH
def test_a_pattern_is_as_large_as_its_scale_says(backend: Any) -> None:
    at, kinds = points(2000), torch.full((2000,), PATTERNS.index("stripes"))
    double = materials(scale=2.0)
    shift = torch.tensor([[0.0137], [0.0219], [0.0173]])
    expected = solid_albedo(at, kinds, materials(), backend)
    found = solid_albedo(2 * (at + shift) - shift, kinds, double, backend)
    assert (found - expected).abs().amax(0).gt(1e-5).float().mean() < 0.002, "but for rounding at the edges"


@BOTH
def test_noise_interpolates_its_lattice_trilinearly_with_smoothed_weights(backend: Any) -> None:
    from scipy.interpolate import RegularGridInterpolator

    lattice = np.pad(np.random.default_rng(20210601).random((32,) * 3, np.float32), (0, 1), mode="wrap")
    at = np.random.default_rng(1).uniform(-40, 40, (3, 200)).astype(np.float32)
    cell, way = np.floor(at), at - np.floor(at)
    expected = RegularGridInterpolator((np.arange(33),) * 3, lattice)((cell % 32 + way * way * (3 - 2 * way)).T)
    found = value_noise(torch.from_numpy(at), backend)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    assert found.std() > 0.1
    step = (value_noise(torch.from_numpy(at) + 0.001, backend) - found).abs()
    assert step.max() < 0.02, "the noise is smooth"


def test_places_that_are_no_numbers_stay_in_the_lattice() -> None:
    odd = torch.tensor([[float("nan"), float("inf"), -float("inf"), 3e38, -3e38]] * 3)
    value_noise(odd, "native")
    solid_albedo(odd, torch.arange(5), materials(), "native")


def test_wrong_arguments_are_named() -> None:
    at, kinds, paint = points(4), torch.arange(4), materials()
    for call, words in (
        (lambda: value_noise(at.double()), "points must be float32"),
        (lambda: solid_albedo(at.T, kinds, paint), "points must be"),
        (lambda: solid_albedo(at, kinds[:3], paint), "material must be int64"),
        (lambda: solid_albedo(at, kinds + 4, paint), "material must be from 0 to 6"),
        (lambda: solid_albedo(at, kinds - 1, paint), "material must be from 0 to 6"),
        (lambda: solid_albedo(at, kinds, paint._replace(pattern=paint.pattern + 1)), "pattern must be uint8"),
        (lambda: solid_albedo(at, kinds, paint._replace(numbers=paint.numbers[:, :7])), "numbers must be float32"),
        (lambda: solid_shade(at, kinds, paint, torch.ones(5), torch.ones(7)), "received must be float32"),
        (lambda: solid_shade(at, kinds, paint, torch.ones(4), torch.ones(6)), "glow must be float32"),
        (lambda: solid_shade(at, kinds + 4, paint, torch.ones(4), torch.ones(7)), "material must be from 0 to 6"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    kernel = _backend.native().solid_albedo_cpu
    lattice, color = torch.rand(33**3), torch.zeros(3, 4)
    with pytest.raises(ValueError, match="material that is not there"):
        kernel(at, kinds + 4, paint.pattern, paint.numbers, lattice, color, 1)
    lit = _backend.native().solid_shade_cpu
    with pytest.raises(ValueError, match="one received light for each point and one glow for each material"):
        lit(at, kinds, paint.pattern, paint.numbers, lattice, torch.ones(4), torch.ones(6), color, 1)
    with pytest.raises(ValueError, match="pattern that is not there"):
        kernel(at, kinds, paint.pattern + 1, paint.numbers, lattice, color, 1)

"""Shading against closed forms: Lambert, Phong, spherical harmonics, and interpolation."""

import math

import numpy as np
import pytest
import torch

from deep3dmap.render.renderer import Lights, Surface
from deep3dmap.render.shading import face_normals, harmonic_basis, highlight, irradiance, shade

BLACK = (0.0, 0.0, 0.0)
UP = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
ORIGIN = torch.zeros(1, 3, dtype=torch.float64)


@pytest.mark.parametrize("degrees", [0.0, 30.0, 60.0, 90.0, 120.0])
def test_lamberts_law(degrees: float) -> None:
    angle = math.radians(degrees)
    away = (2 * math.sin(angle), 0.0, 2 * math.cos(angle))
    expected = torch.tensor([[0.1, 0.2, 0.3]]) + max(math.cos(angle), 0.0) * torch.tensor([[0.5, 0.25, 0.0]])
    distant = Lights((0.1, 0.2, 0.3), (0.5, 0.25, 0.0), direction=away)
    torch.testing.assert_close(irradiance(UP, distant, ORIGIN).float(), expected, atol=1e-6, rtol=0)
    point = Lights((0.1, 0.2, 0.3), (0.5, 0.25, 0.0), position=tuple(v + 7 for v in away))
    torch.testing.assert_close(irradiance(UP, point, ORIGIN + 7).float(), expected, atol=1e-6, rtol=0)


def test_harmonics_are_orthogonal_over_the_sphere() -> None:
    """Integrated with an exact product rule: Gauss quadrature along z, even steps around it."""
    heights, weights = np.polynomial.legendre.leggauss(6)
    around = 2 * np.pi * np.arange(8) / 8
    z, angle = (grid.ravel() for grid in np.meshgrid(heights, around, indexing="ij"))
    level = np.sqrt(1 - z**2)
    basis = harmonic_basis(torch.from_numpy(np.stack([level * np.cos(angle), level * np.sin(angle), z], 1))).numpy()
    products = np.einsum("n,ni,nj->ij", weights.repeat(8) * 2 * np.pi / 8, basis, basis)
    norms = 4 * np.pi * np.array([1, 1 / 3, 1 / 3, 1 / 3, 1 / 15, 1 / 15, 4 / 5, 1 / 15, 4 / 15])
    np.testing.assert_allclose(products, np.diag(norms), atol=1e-12)


def test_light_in_harmonics_is_linear_and_never_negative() -> None:
    generator = torch.Generator().manual_seed(0)
    normals = torch.nn.functional.normalize(torch.randn(50, 3, generator=generator, dtype=torch.float64), dim=1)
    coefficients = torch.randn(9, 3, generator=generator, dtype=torch.float64)
    found = irradiance(normals, Lights(harmonics=coefficients), torch.zeros_like(normals))
    torch.testing.assert_close(found, (harmonic_basis(normals) @ coefficients).clamp(min=0))
    assert (found == 0).any()
    even = torch.zeros(9, 3, dtype=torch.float64)
    even[0] = 0.7
    assert (irradiance(normals, Lights(harmonics=even), torch.zeros_like(normals)) == 0.7).all()


@pytest.mark.parametrize("off", [0.0, 10.0, 40.0])
def test_highlights_fall_off_around_the_mirrored_ray(off: float) -> None:
    """The light is at 30 degrees on one side, the eye at 30 degrees plus `off` on the other."""
    light = (-math.sin(math.pi / 6), 0.0, math.cos(math.pi / 6))
    seen = math.pi / 6 + math.radians(off)
    eye = 5 * torch.tensor([math.sin(seen), 0.0, math.cos(seen)], dtype=torch.float64)
    lights = Lights(BLACK, BLACK, direction=light, specular=(0.4, 0.2, 0.1), shininess=8.0)
    found = highlight(ORIGIN, UP, lights, eye)
    assert found is not None
    expected = math.cos(math.radians(off)) ** 8 * torch.tensor([[0.4, 0.2, 0.1]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    behind = highlight(ORIGIN, -UP, lights, eye)
    assert behind is not None
    assert not behind.any(), "no highlight on what looks away from the light"
    assert highlight(ORIGIN, UP, Lights(BLACK, BLACK, direction=light), eye) is None


def roof() -> Surface:
    """Two white squares that meet at a right angle along the y axis."""
    vertices = torch.tensor([(0.0, 0, 1), (0, 1, 1), (1, 0, 0), (1, 1, 0), (-1, 0, 0), (-1, 1, 0)])
    return Surface(vertices, torch.tensor([(0, 2, 3), (0, 3, 1), (0, 1, 5), (0, 5, 4)]), torch.ones(6, 3))


def test_kinds_of_shading_differ_where_a_surface_bends() -> None:
    """On the ridge the smooth normal points up; halfway down a face it is between that and the face normal."""
    surface, lights = roof(), Lights(BLACK, (1.0, 1.0, 1.0), direction=(0.0, 0.0, 1.0))
    faces, ridge = torch.tensor([0, 2]), torch.tensor([[1.0, 0, 0], [1.0, 0, 0]])
    eye = torch.tensor([0.0, 0.0, 9.0])
    flat, gouraud, phong = (shade(surface, faces, ridge, lights, eye, kind)[:, 0] for kind in ("flat", "gouraud", "phong"))
    torch.testing.assert_close(flat, torch.full((2,), 0.5**0.5))
    torch.testing.assert_close(gouraud, torch.ones(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(phong, gouraud, atol=1e-6, rtol=0)
    half = torch.tensor([[0.5, 0.5, 0.0]])
    between = shade(surface, faces[:1], half, lights, eye, "gouraud")[0, 0]
    assert between.item() == pytest.approx((1 + 0.5**0.5) / 2, abs=1e-6)
    halved = shade(surface, faces[:1], half, lights, eye, "phong")[0, 0]
    assert halved.item() == pytest.approx(math.cos(math.pi / 8), abs=1e-6)
    with pytest.raises(ValueError, match="phong, gouraud or flat, not 'toon'"):
        shade(surface, faces, ridge, lights, eye, "toon")  # type: ignore[arg-type]


def test_normals_point_to_where_faces_are_counter_clockwise() -> None:
    vertices = torch.tensor([(0.0, 0, 0), (2, 0, 0), (0, 3, 0)])
    normals = face_normals(vertices, torch.tensor([(0, 1, 2), (0, 2, 1), (0, 1, 1)]))
    assert normals.tolist() == [[0, 0, 1], [0, 0, -1], [0, 0, 0]]

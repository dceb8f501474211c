"""Point lights, texels as points and the conventional gamma range, against closed forms."""

import math

import numpy as np
import pytest
import torch

from deep3dmap.core.errors import UserError
from deep3dmap.geometry.icosphere import icosphere
from deep3dmap.ops.rasterize_soft import SoftFragments
from deep3dmap.render.blending import FIELD_DEPTHS, Blend, convert_gamma, softmax_weights
from deep3dmap.render.renderer import Lights, Surface, View
from deep3dmap.render.renderers import renderer
from deep3dmap.render.textures import sample_texture

BLACK = (0.0, 0.0, 0.0)
INTRINSICS = torch.tensor([[60.0, 0, 32], [0, 60, 32], [0, 0, 1]])


def facing(distance: float, size: float = 1.0, **more: object) -> Surface:
    """A square perpendicular to the optical axis of a camera at the origin that looks along z."""
    corners = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * size + torch.tensor([0, 0, distance])
    return Surface(corners, torch.tensor([[0, 2, 1], [0, 3, 2]]), **more)  # type: ignore[arg-type]


def view() -> View:
    return View(INTRINSICS, torch.eye(4), 64, 64)


@pytest.mark.parametrize("name", ["hard", "soft", "neural_mesh"])
def test_a_point_light_on_a_plane(name: str) -> None:
    """Lambert and Phong shading of a plane z = 2 with the light at (0.3, -0.2, 1), computed explicitly for every pixel."""
    place = np.array([0.3, -0.2, 1.0])
    lights = Lights((0.1,) * 3, (0.6,) * 3, specular=(0.3,) * 3, shininess=5.0, position=tuple(place))
    options = {"soft": {"sigma": 1e-8, "gamma": 1e-4}, "neural_mesh": {"anti_aliasing": False}}.get(name, {})
    surface = facing(2.0, colors=torch.full((4, 3), 0.5))
    image = renderer(name, **options).render(surface, view(), lights, BLACK).image[0, 8:56, 8:56]
    columns, rows = np.meshgrid(np.arange(8, 56) + 0.5, np.arange(8, 56) + 0.5)
    points = np.stack([(columns - 32) / 60 * 2, (rows - 32) / 60 * 2, np.full_like(rows, 2)], -1)
    towards = (place - points) / np.linalg.norm(place - points, axis=-1, keepdims=True)
    normal = np.array([0, 0, -1.0])
    cosine = towards @ normal
    mirrored = 2 * cosine[..., None] * normal - towards
    eye = -points / np.linalg.norm(points, axis=-1, keepdims=True)
    expected = 0.5 * (0.1 + 0.6 * cosine) + 0.3 * np.clip((mirrored * eye).sum(-1), 0, None) ** 5
    np.testing.assert_allclose(image, expected, atol=2e-5)


def test_a_light_inside_of_a_ball_lights_none_of_its_outside() -> None:
    points, triangles = icosphere(3)
    ball = Surface(torch.from_numpy(points).float() + torch.tensor([0, 0, 3.0]), torch.from_numpy(triangles), None)
    lights = Lights((0.2,) * 3, (0.8,) * 3, position=(0.0, 0.0, 3.0))
    drawn = renderer("hard").render(ball, view(), lights, BLACK)
    assert drawn.image[:, drawn.silhouette > 0].max() == pytest.approx(0.2 * 0.7, abs=0.06)
    before = Lights((0.2,) * 3, (0.8,) * 3, position=(0.0, 0.0, 0.0))
    middle = renderer("hard").render(ball, view(), before, BLACK).image[0, 32, 32]
    assert middle == pytest.approx(5 * float(drawn.image[0, 32, 32]), rel=0.01)


def test_texels_as_areas_and_as_points() -> None:
    """A ramp of n texels gives u (n - 1) / n of its range if texels are points, and clamped u - 1 / 2n if they are areas."""
    n = 5
    ramp = torch.arange(n, dtype=torch.float64).expand(3, 4, n)
    u = torch.linspace(0, 1, 21, dtype=torch.float64)
    uv = torch.stack([u, torch.full_like(u, 0.4)], 1)
    torch.testing.assert_close(sample_texture(ramp, uv, "points")[:, 0], u * (n - 1))
    torch.testing.assert_close(sample_texture(ramp, uv, "areas")[:, 0], (u * n - 0.5).clamp(0, n - 1))
    column = torch.arange(n, dtype=torch.float64)[:, None].expand(3, n, 4)
    torch.testing.assert_close(sample_texture(column, uv.flip(1), "points")[:, 0], (1 - u) * (n - 1))


def test_a_surface_says_what_its_texels_are() -> None:
    texture = torch.arange(4.0).expand(3, 4, 4) / 4
    uv = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    unlit = Lights((1.0,) * 3, BLACK)
    for texels, at in (("points", lambda u: u * 3 / 4), ("areas", lambda u: np.clip(u * 4 - 0.5, 0, 3) / 4)):
        image = renderer("hard").render(facing(2.0, texture=texture, uv=uv, texels=texels), view(), unlit, BLACK).image
        u = ((np.arange(8, 56) + 0.5 - 32) / 60 * 2 + 1) / 2
        np.testing.assert_allclose(image[0, 32, 8:56], at(u), atol=1e-5)
    with pytest.raises(ValueError, match="areas or points"):
        facing(2.0, texture=texture, uv=uv, texels="corners")


def fragments(depths: tuple[float, ...]) -> SoftFragments:
    """Faces at these depths that all fully cover one pixel."""
    count = len(depths)
    ids, depth = torch.arange(count)[None, None], torch.tensor(depths, dtype=torch.float64)[None, None]
    return SoftFragments(ids, depth, torch.zeros(1, 1, count, 3), torch.full((1, 1, count), -1e9, dtype=torch.float64))


def test_the_weights_of_the_field() -> None:
    """Equation 2 of Liu et al. with the depth range 1 to 100: exp(z / gamma), z = (100 - depth) / 99, and the background."""
    gamma = 0.02
    weights, behind = softmax_weights(fragments((3.0, 4.0, 9.0)), Blend(1e-4, gamma, FIELD_DEPTHS))
    scores = [math.exp((100 - depth) / 99 / gamma) for depth in (3.0, 4.0, 9.0)]
    total = sum(scores) + math.exp(1e-10 / gamma)
    np.testing.assert_allclose(weights[0, 0], [score / total for score in scores], rtol=1e-9)
    np.testing.assert_allclose(behind, math.exp(1e-10 / gamma) / total, atol=1e-9)


def test_a_converted_gamma_weights_the_same() -> None:
    own = (2.5, 9.5)
    gamma = convert_gamma(1e-3, FIELD_DEPTHS, own)
    assert gamma == pytest.approx(1e-3 * 99 / 7)
    theirs, ours = (
        softmax_weights(fragments((3.0, 3.02, 3.3)), Blend(1e-4, softness, depths))[0][0, 0]
        for softness, depths in ((1e-3, FIELD_DEPTHS), (gamma, own))
    )
    torch.testing.assert_close(ours / ours.sum(), theirs / theirs.sum())


def test_the_soft_renderer_takes_the_gamma_of_the_field() -> None:
    """Two squares, red in front of blue: the fraction of red has a closed form."""
    near, far = facing(2.0), facing(2.05)
    surface = Surface(
        torch.cat([near.vertices, far.vertices]), torch.cat([near.faces, far.faces + 4]),
        torch.tensor([[1.0, 0, 0]] * 4 + [[0, 0, 1.0]] * 4),
    )  # fmt: skip
    unlit = Lights((1.0,) * 3, BLACK)
    image = renderer("soft", sigma=1e-7, gamma=1e-3, gamma_range="field").render(surface, view(), unlit, BLACK).image
    red = 1 / (1 + math.exp(-0.05 / 99 / 1e-3))
    # Away from the diagonals, where a pixel sees one face of each square.
    np.testing.assert_allclose(image[:, 20, 40], [red, 0, 1 - red], atol=1e-4)
    own = renderer("soft", sigma=1e-7, gamma=1e-3).render(surface, view(), unlit, BLACK).image
    np.testing.assert_allclose(own[:, 20, 40], [1, 0, 0], atol=1e-4)
    with pytest.raises(UserError, match="gamma_range"):
        renderer("soft", gamma_range="depths")

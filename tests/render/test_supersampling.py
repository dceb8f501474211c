"""Antialiasing by supersampling: pixels are exact means of a finer image, and edge pixels approximate the covered area."""

from dataclasses import replace

import pytest
import torch

from deep3dmap.geometry.icosphere import icosphere
from deep3dmap.render.hard import HardRenderer
from deep3dmap.render.renderer import UNLIT, Lights, Rendering, Surface, View
from deep3dmap.render.renderer_comparison import view_of

LIGHTS = Lights(direction=(0.5, 1.0, 1.0))
BACKGROUND = (0.1, 0.2, 0.3)


def sphere() -> Surface:
    points, faces = icosphere(2)
    vertices = torch.from_numpy(points).float() * torch.tensor([1.0, 0.8, 0.6])
    return Surface(vertices, torch.from_numpy(faces), (vertices * 0.4 + 0.5).clamp(0, 1))


def finer(view: View, times: int) -> View:
    intrinsics = torch.diag(torch.tensor([times, times, 1.0])) @ view.intrinsics
    return replace(view, intrinsics=intrinsics, height=view.height * times, width=view.width * times)


@pytest.mark.parametrize("projection", ["perspective", "orthographic"])
@pytest.mark.parametrize("times", [2, 3])
def test_a_pixel_is_the_mean_of_the_finer_pixels(times: int, projection: str) -> None:
    surface = sphere()
    view = replace(view_of(surface.vertices, 32, 30, 15, projection=projection), width=39)  # type: ignore[arg-type]
    smooth = HardRenderer(supersample=times).render(surface, view, LIGHTS, BACKGROUND)
    fine = HardRenderer().render(surface, finer(view, times), LIGHTS, BACKGROUND)
    boxes = (3, view.height, times, view.width, times)
    torch.testing.assert_close(smooth.image, fine.image.reshape(boxes).mean((2, 4)), atol=1e-6, rtol=0)
    torch.testing.assert_close(smooth.silhouette, fine.silhouette.reshape(boxes[1:]).mean((1, 3)), atol=1e-6, rtol=0)
    partly = (smooth.silhouette > 0) & (smooth.silhouette < 1)
    assert partly.sum() > 20
    # Averaging depth over an edge would be meaningless, so these are sampled at the pixel centres.
    centres = HardRenderer().render(surface, view, LIGHTS, BACKGROUND)
    for output in ("depth", "normals", "face_id"):
        assert torch.equal(getattr(smooth, output), getattr(centres, output))


def half_plane(slope: float, times: int) -> Rendering:
    """The part of a 16 x 16 image above the line y = 8 + slope (x - 8)."""
    ends = [[x, 8 + slope * (x - 8), 1.0] for x in (-100.0, 100.0)]
    pixels = torch.tensor([*ends, [0.0, -300.0, 1.0]])
    view = View(torch.eye(3), torch.eye(4), 16, 16, "orthographic")
    surface = Surface(pixels, torch.tensor([[0, 1, 2]]), torch.ones(3, 3))
    return HardRenderer(supersample=times).render(surface, view, UNLIT, (0.0, 0.0, 0.0))


@pytest.mark.parametrize("slope", [0.0, 0.13, -0.4])
def test_edges_come_near_the_covered_area(slope: float) -> None:
    # Columns where the line is inside the image; the area above it in a column is its height at the centre.
    expected = 8 + slope * (torch.arange(16) + 0.5 - 8)
    errors = [(half_plane(slope, times).image[0].sum(0) - expected).abs().max() for times in (1, 2, 4, 8)]
    for times, error in zip((1, 2, 4, 8), errors):
        assert error <= 0.5 / times + 1e-5
    torch.testing.assert_close(half_plane(slope, 8).image[0], half_plane(slope, 8).silhouette)


def test_gradients_flow_through_the_means() -> None:
    surface = sphere()
    assert surface.colors is not None
    view = view_of(surface.vertices, 16, 30, 15)
    colors = surface.colors.clone().requires_grad_()
    weights = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))
    seen = HardRenderer(supersample=3).render(replace(surface, colors=colors), view, LIGHTS)
    assert not seen.silhouette.requires_grad
    (gradient,) = torch.autograd.grad((seen.image * weights).sum(), colors)
    move = torch.randn(colors.shape, generator=torch.Generator().manual_seed(1))
    # The image is linear in the colours.
    dark = HardRenderer(supersample=3).render(replace(surface, colors=torch.zeros_like(colors)), view, LIGHTS, (0.0,) * 3)
    moved = HardRenderer(supersample=3).render(replace(surface, colors=move), view, LIGHTS, (0.0,) * 3)
    expected = ((moved.image - dark.image) * weights).sum()
    torch.testing.assert_close((gradient * move).sum(), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("times", [0, -1, 17])
def test_mistakes_are_named(times: int) -> None:
    with pytest.raises(ValueError, match=rf"supersample must be an integer from 1 to 16, got {times}"):
        HardRenderer(supersample=times)

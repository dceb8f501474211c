"""Any mesh, however broken, is rendered without a crash and with finite gradients."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deep3dmap.geometry.icosphere import icosphere
from deep3dmap.render.renderer import Lights, Rendering, Surface, View
from deep3dmap.render.renderer_comparison import view_of
from deep3dmap.render.renderers import renderer

OPTIONS: dict[str, dict[str, Any]] = {
    "hard": {"supersample": 2},
    "soft": {"faces_per_pixel": 3, "sigma": 1e-3},
    "neural_mesh": {},
    "volume": {"resolution": 6, "samples": 8},
}
# Includes a specular highlight, whose powers and directions easily have infinite gradients.
SHINY = Lights(direction=(0.5, 1.0, 1.0), specular=(0.5, 0.5, 0.5), shininess=8.0)
# Repeated coordinates produce coinciding vertices, slivers and edge-on faces; z <= 0 is behind the camera.
COORDINATES = st.floats(-4, 4, width=32) | st.sampled_from([0.0, 1.0, 1e-20, 1e6, math.nan, math.inf])


def drawn(name: str, surface: Surface, view: View) -> Rendering:
    """Render the surface and check that outputs and gradients with respect to vertices and colours are finite."""
    leaves = [surface.vertices.clone().requires_grad_(), torch.full_like(surface.vertices, 0.5).requires_grad_()]
    seen = renderer(name, **OPTIONS[name]).render(Surface(leaves[0], surface.faces, leaves[1]), view, SHINY)
    outputs = {output: getattr(seen, output) for output in ("image", "depth", "normals", "silhouette")}
    for output, values in outputs.items():
        assert values.isfinite().all(), output
    sum(values.sum() for values in outputs.values()).backward()  # type: ignore[union-attr]
    for leaf in leaves:
        assert leaf.grad is not None
        assert not leaf.grad.isnan().any()
    return seen


@pytest.mark.parametrize("projection", ["perspective", "orthographic"])
@pytest.mark.parametrize("name", OPTIONS)
@settings(max_examples=40, deadline=None)
@given(corners=arrays(np.float32, (6, 3), elements=COORDINATES), indices=arrays(np.int64, (5, 3), elements=st.integers(0, 5)))
def test_any_mesh(name: str, projection: Any, corners: Any, indices: Any) -> None:
    intrinsics = torch.tensor([[5.0, 0, 5.5], [0, 5.0, 4.5], [0, 0, 1]])
    drawn(
        name, Surface(torch.from_numpy(corners), torch.from_numpy(indices)), View(intrinsics, torch.eye(4), 9, 11, projection)
    )


def crowded(kind: str) -> Surface:
    """A non-manifold sphere: duplicated faces, inverted faces, a fin on an edge, or two spheres touching in a vertex."""
    points, triangles = icosphere(1)
    vertices, faces = torch.from_numpy(points).float(), torch.from_numpy(triangles)
    fin = torch.cat([faces[0, :2], torch.tensor([len(vertices)])])
    # The point reflection in vertex 0, which both share; a reflection inverts faces.
    beside = torch.where(faces.flip(1) == 0, 0, faces.flip(1) + len(vertices))
    return {
        "twice": Surface(vertices, torch.cat([faces, faces])),
        "turned": Surface(vertices, torch.cat([faces, faces.flip(1)])),
        "fin": Surface(torch.cat([vertices, 1.5 * vertices[:1]]), torch.cat([faces, fin[None]])),
        "touching": Surface(torch.cat([vertices, 2 * vertices[0] - vertices]), torch.cat([faces, beside])),
    }[kind]


@pytest.mark.parametrize("kind", ["twice", "turned", "fin", "touching"])
@pytest.mark.parametrize("name", OPTIONS)
def test_meshes_that_are_no_manifolds(name: str, kind: str) -> None:
    surface = crowded(kind)
    plain = Surface(*(torch.from_numpy(part) for part in icosphere(1)))
    view = view_of(surface.vertices, 24, 30, 15)
    seen = drawn(name, surface, view)
    whole = renderer(name, **OPTIONS[name]).render(Surface(plain.vertices.float(), plain.faces), view)
    share = float(seen.silhouette.detach().sum() / whole.silhouette.sum())
    if kind in ("twice", "turned"):
        assert share == pytest.approx(1.0, abs=0.35 if name == "volume" else 0.1)
    else:
        assert share > 0.95


# Found by the test above: a face that is a line up to rounding, a tiny face, and a sliver next to a large face.
FOUND = {
    "line": ([[0.025, 1e6, 0], [0.0, 0, 0], [0, 0, 0]], [[0, 1, 1], [1, 1, 1]]),
    "speck": ([[1e-20, 0, 0], [0, 0, 0], [0, 1e-20, 0]], [[0, 1, 2]]),
    "sliver": ([[0, 0, 2], [1e6, 0, 2], [1e6, 1e-3, 2], [0.0, 1, 2]], [[0, 1, 2], [0, 1, 3]]),
}


@pytest.mark.parametrize("projection", ["perspective", "orthographic"])
@pytest.mark.parametrize("kind", FOUND)
@pytest.mark.parametrize("name", OPTIONS)
def test_what_was_found(name: str, kind: str, projection: Any) -> None:
    corners, indices = FOUND[kind]
    intrinsics = torch.tensor([[5.0, 0, 5.5], [0, 5.0, 4.5], [0, 0, 1]])
    drawn(name, Surface(torch.tensor(corners), torch.tensor(indices)), View(intrinsics, torch.eye(4), 9, 11, projection))


def test_empty_pictures_have_gradients_to_colours_alone() -> None:
    colors = torch.full((3, 3), 0.5, requires_grad=True)
    surface = Surface(torch.zeros(3, 3), torch.tensor([[0, 0, 1]]), colors)
    renderer("volume", **OPTIONS["volume"]).render(surface, view_of(torch.eye(3), 8, 0, 0)).image.sum().backward()
    assert colors.grad is not None
    assert not colors.grad.any()

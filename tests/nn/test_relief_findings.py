"""A relief fitted to an image: rotated, relit and saved."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from deep3dmap.nn.relief_findings import YAWS, relief_reconstruction, relit, rotated_mesh, texture_places, turned
from deep3dmap.nn.relief_model import YAW, Canonical, Explanation, Priors, ReliefModel, ReliefSpace
from deep3dmap.render.relief_shading import decode_light

SIDE = 16


@pytest.fixture
def model() -> ReliefModel:
    return ReliefModel(SimpleNamespace(), ReliefSpace(SIDE), Priors())


@pytest.fixture
def found(model: ReliefModel) -> Explanation:
    """A grey bump, seen slightly from the side and lit from the front."""
    rows, columns = torch.meshgrid(*(torch.linspace(-1, 1, SIDE),) * 2, indexing="ij")
    bump = 1.02 - 0.04 * torch.exp(-3 * (rows.square() + columns.square()))
    views = torch.tensor([[0.1, 0.2, 0.0, 0.01, 0.0, 0.0]])
    return model.show(Canonical(bump[None], torch.zeros(1, 3, SIDE, SIDE)), views, decode_light(torch.zeros(1, 4)))


def test_all_but_the_yaw_stays_as_it_was_found(found: Explanation) -> None:
    views = turned(found)
    np.testing.assert_allclose(np.degrees(views[:, YAW].numpy()), YAWS, atol=1e-4)
    assert torch.equal(views[:, 2:], found.views[:, 2:].expand(5, -1))
    assert torch.equal(views[:, 0], found.views[:, 0].expand(5))


def test_light_from_a_side_brightens_that_flank(model: ReliefModel, found: Explanation) -> None:
    left, middle, right = (picture.mean(0)[:, 3:-3] for picture in relit(model, found).image)
    half = left.shape[1] // 2
    # Like normals, directions point away from the camera: x = -1 comes from the right.
    assert float(left[:, half:].mean()) > float(left[:, :half].mean())
    assert float(right[:, :half].mean()) > float(right[:, half:].mean())
    assert abs(float(middle[:, half:].mean() - middle[:, :half].mean())) < float((left - right).abs().mean())


def test_the_reconstruction_lies_in_the_frame_of_the_picture(model: ReliefModel, found: Explanation) -> None:
    strip = torch.zeros(2, 3, SIDE, SIDE)
    result = relief_reconstruction(model, found, {"own": strip}, {"why": "test"})
    assert rotated_mesh(model, found).shape == (5, 3, SIDE, SIDE)
    assert set(result.files) == {"albedo.png", "relit.png", "rotated_mesh.png", "own.png", "textured.glb"}
    assert result.depth is not None
    assert result.mesh is not None
    seen = result.depth[0] > 0
    np.testing.assert_allclose(result.depth[0][seen], found.relief.depth[0].numpy()[seen])
    # The projected points of the relief have the depth of the map there; partially covered border pixels are empty.
    inner = result.mesh.vertices.reshape(SIDE, SIDE, 3)[2:-2, 2:-2].reshape(-1, 3)
    pixels = model.renderer.camera.to_pixels(torch.from_numpy(inner)).round().long()
    inside = ((pixels >= 0) & (pixels < SIDE)).all(1)
    columns, rows = pixels[inside].T.numpy()
    np.testing.assert_allclose(result.depth[0][rows, columns], inner[inside.numpy(), 2], atol=0.01)


def test_places_of_a_relief_in_its_picture() -> None:
    places = texture_places(4)
    # Row-major order, v up: the first texel is at the top left.
    assert places[0].tolist() == [0.125, 0.875]
    assert places[-1].tolist() == [0.875, 0.125]

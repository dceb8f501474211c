"""The map of predicted distances: the newest fragment takes precedence; the surface has one or two layers."""

import numpy as np
import pytest
import torch

from deep3dmap.core import UserError
from deep3dmap.methods.neuralrecon.tsdf_map import TSDFMap

SIZE = (16, 16, 16)


def wall(thickness: int = 2, height: float = 7.5) -> tuple[torch.Tensor, torch.Tensor]:
    """A band of voxels around a horizontal plane: solid below, free above."""
    grid = torch.cartesian_prod(*[torch.arange(16, dtype=torch.int32)] * 3)
    distance = (grid[:, 2] - height) / (thickness + 1)
    near = distance.abs() < thickness / (thickness + 1)
    return grid[near], distance[near]


def test_one_layer_has_no_faces_behind_the_surface() -> None:
    surface = TSDFMap(SIZE, 0.1)
    surface.update("a", torch.tensor([1.6, -1.6, 0]), *wall())
    surface.update("a", torch.tensor([1.6, -1.6, -3.2]), torch.zeros(1, 3).int(), torch.tensor([0.9]))
    one, two = surface.mesh(), surface.mesh(single_layer=False)
    np.testing.assert_allclose(one.vertices[:, 2], 0.75, atol=1e-6)
    np.testing.assert_allclose([one.vertices.min(0)[:2], one.vertices.max(0)[:2]], [[1.6, -1.6], [3.1, -0.1]], atol=1e-6)
    assert two.vertices[:, 2].min() < 0.7
    corners = one.vertices[one.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normals[:, 2] > 0).all()


def test_what_is_no_longer_predicted_is_erased() -> None:
    surface = TSDFMap(SIZE, 0.1)
    surface.update("a", torch.zeros(3), *wall(height=3.5))
    surface.update("a", torch.zeros(3), *wall(height=11.5))
    np.testing.assert_allclose(surface.mesh().vertices[:, 2], 1.15, atol=1e-6)
    surface.update("a", torch.zeros(3), *wall(height=11.5))
    assert len(surface.map) == len(wall()[0])


def test_without_full_what_is_not_predicted_stays() -> None:
    surface = TSDFMap(SIZE, 0.1, full=False)
    surface.update("a", torch.zeros(3), *wall(height=3.5))
    surface.update("a", torch.zeros(3), *wall(height=11.5))
    assert set(surface.mesh().vertices[:, 2].round(4)) == {np.float32(0.35), np.float32(1.15)}


def test_a_new_scene_starts_an_empty_map_at_its_own_origin() -> None:
    surface = TSDFMap(SIZE, 0.1)
    surface.update("a", torch.zeros(3), *wall())
    surface.update("b", torch.tensor([0.05, 0, 0]), *wall(), world_origin=torch.tensor([0.05, 0, 0]))
    assert len(surface.map) == len(wall()[0])
    assert surface.mesh().vertices[:, 0].min() == pytest.approx(0.05)


@pytest.mark.parametrize("coordinates", [torch.zeros(0, 3).int(), torch.zeros(1, 3).int()])
def test_nothing_and_a_single_voxel_make_an_empty_mesh(coordinates: torch.Tensor) -> None:
    surface = TSDFMap(SIZE, 0.1)
    surface.update("a", torch.zeros(3), coordinates, -0.5 * torch.ones(len(coordinates)))
    assert surface.mesh().is_empty
    assert surface.mesh(single_layer=False).is_empty


def test_a_scene_too_large_to_be_dense_is_refused_with_the_size_it_needs() -> None:
    surface = TSDFMap(SIZE, 0.1)
    surface.update("a", torch.zeros(3), *wall())
    surface.update("a", torch.tensor([1600.0, 1600.0, 0]), *wall())
    with pytest.raises(UserError, match=r"'a'.*16016 x 16016 x 4 voxels and needs 7\.6 GiB"):
        surface.mesh()
    with pytest.raises(UserError, match="raise max_voxels to"):
        surface.dense(max_voxels=100)


def test_memory_follows_the_surface_and_not_the_number_of_fragments() -> None:
    surface, sizes = TSDFMap(SIZE, 0.1), []
    for step in range(300):
        x = 0.8 * (step % 20 if step % 40 < 20 else 19 - step % 20)
        surface.update("a", torch.tensor([x, 0, 0]), *wall())
        sizes.append(surface.bytes())
    assert max(sizes[40:]) == max(sizes[:40])
    assert sizes[39] < 25 * sizes[0]


def test_a_saved_map_goes_on_where_it_was() -> None:
    surface, again = TSDFMap(SIZE, 0.1), TSDFMap(SIZE, 0.1)
    surface.update("a", torch.zeros(3), *wall())
    again.load_state(surface.state())
    for each in (surface, again):
        each.update("a", torch.tensor([0.8, 0, 0]), *wall(height=9.5))
    assert all(torch.equal(value, again.state()[name]) for name, value in surface.state().items())

"""Voxels of a fragment, their children, and their positions."""

import torch

from deep3dmap.methods.neuralrecon.voxel_grid import children, dense_grid, rows_of_elements, to_aligned_camera, world_positions


def test_the_grid_is_row_major_and_repeats_for_each_element() -> None:
    grid = dense_grid((8, 4, 8), 4, batch=2)
    assert grid.dtype == torch.int32
    assert grid[:4].tolist() == [[0, 0, 0, 0], [0, 0, 0, 4], [0, 4, 0, 0], [0, 4, 0, 4]]
    assert grid[4:, 0].unique().tolist() == [1]


def test_children_fill_their_parents() -> None:
    grid = children(dense_grid((8, 8, 8), 4, batch=1), 2)
    assert torch.equal(grid.unique(dim=0), dense_grid((8, 8, 8), 2, batch=1))
    assert grid[:5].tolist() == [[0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 2], [0, 2, 2, 0]]


def test_each_element_has_its_own_origin_and_camera() -> None:
    coordinates = torch.tensor([[0, 1, 2, 3], [1, 1, 2, 3]], dtype=torch.int32)
    world = world_positions(coordinates, torch.tensor([[0.0, 0, 0], [1, 1, 1]]), 0.5)
    assert world.tolist() == [[0.5, 1, 1.5], [1.5, 2, 2.5]]
    poses = torch.eye(4).repeat(2, 1, 1)
    poses[1, :3] = torch.tensor([[0.0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 9]])
    assert to_aligned_camera(world, coordinates[:, 0], poses).tolist() == [[0.5, 1, 1.5], [2, 2.5, 10.5]]


def test_elements_without_voxels_have_no_rows() -> None:
    coordinates = torch.tensor([[0, 5, 5, 5], [0, 6, 5, 5], [2, 5, 5, 5]], dtype=torch.int32)
    assert rows_of_elements(coordinates, 4) == [2, 0, 1, 0]
    assert rows_of_elements(coordinates[:0], 2) == [0, 0]

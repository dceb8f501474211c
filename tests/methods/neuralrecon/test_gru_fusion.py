"""The fusion of fragments: voxels combined with their history, and the voxels that are kept or discarded."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deep3dmap.methods.neuralrecon.gru_fusion import Fused, GRUFusion
from deep3dmap.methods.neuralrecon.voxel_grid import dense_grid

VOXEL = 0.1


class Sum(nn.Module):
    def forward(self, history: Tensor, current: Tensor, positions: Tensor, batch: Tensor) -> Tensor:
        return history + current


class Positions(nn.Module):
    def forward(self, history: Tensor, current: Tensor, positions: Tensor, batch: Tensor) -> Tensor:
        return positions


def make(full: bool = True, cell: type[nn.Module] = Sum, channels: int = 2) -> GRUFusion:
    return GRUFusion([cell() for _ in range(3)], (channels,) * 3, (16, 16, 16), VOXEL, full)


def inputs(*scenes: str, x: float = 0.0, targets: bool = False) -> dict[str, Any]:
    batch = len(scenes)
    given: dict[str, Any] = {
        "scene": list(scenes),
        "vol_origin_partial": torch.tensor([[x, 0.0, 0.0]]).repeat(batch, 1),
        "world_to_aligned_camera": torch.eye(4).repeat(batch, 1, 1),
    }
    if targets:
        given["tsdf"] = [torch.zeros(batch, side, side, side) for side in (16, 8, 4)]
        given["occupancy"] = [torch.zeros(batch, side, side, side, dtype=torch.bool) for side in (16, 8, 4)]
    return given


def voxel(*at: int, batch: int = 0) -> Tensor:
    return torch.tensor([[batch, *at]], dtype=torch.int32)


def test_history_comes_back_where_the_boxes_overlap() -> None:
    fusion = make()
    fusion(voxel(8, 4, 0), torch.ones(1, 2), inputs("a"), level=0)
    fused = fusion(voxel(4, 4, 4), torch.ones(1, 2), inputs("a", x=0.8), level=0)
    assert fused.coordinates.tolist() == [[0, 0, 4, 0], [0, 4, 4, 4]]
    assert fused.features.tolist() == [[1, 1], [1, 1]]
    assert fused.tsdf is None


def test_without_full_only_the_fragment_has_voxels_in_its_own_order() -> None:
    fusion = make(full=False)
    both = torch.cat([voxel(8, 0, 0), voxel(4, 0, 0)])
    fusion(voxel(8, 0, 0), torch.full((1, 2), 5.0), inputs("a"), level=0)
    fusion(voxel(12, 0, 0), torch.full((1, 2), 7.0), inputs("a"), level=0)
    fused = fusion(both, torch.tensor([[1.0, 1.0], [2.0, 2.0]]), inputs("a"), level=0)
    assert torch.equal(fused.coordinates, both)
    assert fused.features[:, 0].tolist() == [6, 2]
    assert len(fusion.maps[0].features) == 3


def test_a_new_scene_forgets_the_old_one() -> None:
    fusion = make()
    fusion(voxel(8, 4, 0), torch.ones(1, 2), inputs("a"), level=2)
    fused = fusion(voxel(4, 4, 4), torch.ones(1, 2), inputs("b"), level=2)
    assert fused.coordinates.tolist() == [[0, 4, 4, 4]]
    assert fusion.maps[2].scene == "b"


def test_reset_forgets_a_scene_whose_name_recurs() -> None:
    fusion = make()
    fusion(voxel(8, 4, 0), torch.ones(1, 2), inputs("a"), level=0)
    fusion.reset()
    assert len(fusion(voxel(0, 0, 0), torch.ones(1, 2), inputs("a"), level=0).coordinates) == 1


def test_elements_of_a_batch_are_fused_in_order() -> None:
    coordinates = torch.cat([voxel(4, 0, 0), voxel(4, 0, 0, batch=1)])
    fused = make()(coordinates, torch.ones(2, 2), inputs("a", "a"), level=0)
    assert fused.coordinates.tolist() == coordinates.tolist()
    assert fused.features[:, 0].tolist() == [1, 2]


@pytest.mark.parametrize("targets", [False, True])
def test_no_voxels_at_all_are_fused_to_none(targets: bool) -> None:
    empty = torch.zeros(0, 4, dtype=torch.int32)
    fused: Fused = make()(empty, torch.zeros(0, 2), inputs("a", targets=targets), level=1)
    assert (fused.coordinates.shape, fused.features.shape) == ((0, 4), (0, 2))
    assert fused.tsdf is None or fused.tsdf.shape == (0, 1)


def test_an_element_without_voxels_is_left_out() -> None:
    fused = make()(voxel(4, 0, 0, batch=1), torch.ones(1, 2), inputs("a", "b", targets=True), level=0)
    assert fused.coordinates.tolist() == [[1, 4, 0, 0]]
    assert fused.tsdf is not None
    assert fused.tsdf.tolist() == [[1.0]]


def test_targets_of_earlier_fragments_are_remembered_and_the_later_one_wins() -> None:
    fusion, first, second = make(), inputs("a", targets=True), inputs("a", targets=True)
    for given, value in ((first, 0.25), (second, 0.5)):
        given["tsdf"][2][:] = value
        given["occupancy"][2][0, 1, 0, 0] = True
    first["occupancy"][2][0, 2, 0, 0] = True
    coordinates = torch.cat([voxel(4, 0, 0), voxel(8, 0, 0), voxel(12, 0, 0)])
    fusion(coordinates, torch.ones(3, 2), first, level=0)
    fused = fusion(coordinates, torch.ones(3, 2), second, level=0)
    assert fused.tsdf is not None
    assert fused.occupancy is not None
    assert fused.tsdf[:, 0].tolist() == [0.5, 0.25, 1.0]
    assert fused.occupancy[:, 0].tolist() == [True, True, False]


def test_positions_are_metres_in_the_levelled_camera() -> None:
    given = inputs("a", x=0.8)
    given["world_to_aligned_camera"][0, :3] = torch.tensor([[0.0, 1, 0, 1], [0, 0, 1, 2], [1, 0, 0, 3]])
    fused = make(cell=Positions, channels=3)(voxel(4, 8, 12), torch.ones(1, 3), given, level=0)
    torch.testing.assert_close(fused.features, torch.tensor([[1.8, 3.2, 4.2]]))


def test_gradients_reach_the_current_features_and_not_the_history() -> None:
    fusion, current = make(), torch.ones(1, 2, requires_grad=True)
    fusion(voxel(4, 0, 0), current, inputs("a"), level=0)
    fusion(voxel(4, 0, 0), current, inputs("a"), level=0).features.sum().backward()
    assert current.grad is not None
    assert current.grad.tolist() == [[1, 1]]


def test_a_saved_fusion_goes_on_where_it_was() -> None:
    fusion, again = make(), make()
    fusion(voxel(8, 4, 0), torch.ones(1, 2), inputs("a", targets=True), level=1)
    state = fusion.state()
    assert all(isinstance(value, Tensor) for value in state.values())
    again.load_state(state)
    for each in (fusion, again):
        each(voxel(4, 4, 4), torch.ones(1, 2), inputs("a", targets=True), level=1)
    assert all(torch.equal(value, again.state()[name]) for name, value in fusion.state().items())
    assert len(again.maps[1].features) == 2


def test_work_and_memory_stay_bounded_over_a_long_walk_to_and_fro() -> None:
    fusion, rows, sizes = make(), [], []
    floor = dense_grid((16, 16, 4), 4, batch=1)
    for step in range(200):
        x = 0.8 * (step % 20 if step % 40 < 20 else 19 - step % 20)
        rows.append(len(fusion(floor, torch.ones(len(floor), 2), inputs("a", x=x), level=0).coordinates))
        sizes.append(fusion.bytes())
    assert set(rows) == {16}
    assert max(sizes[40:]) == max(sizes[:40])

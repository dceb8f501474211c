"""The sparse map of a scene, and the boxes extracted from it."""

import pytest
import torch

from deep3dmap.methods.neuralrecon.global_map import Box, GlobalMap, decode_name, encode_name, spread, union

BOX = Box((-8, 0, 8), (8, 8, 8))


def test_origins_are_rounded_and_not_truncated() -> None:
    # In float32 4.8 / 0.04 is 119.99999.
    for voxels in range(-400, 401, 8):
        origin = torch.tensor([voxels * 0.04, 0, 0])
        assert Box.at(origin, torch.zeros(3), 0.04, (8, 8, 8)).lowest == (voxels, 0, 0)


def test_origins_that_are_not_whole_voxels_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="fractional number"):
        Box.at(torch.tensor([0.3, 0, 0]), torch.zeros(3), 0.2, (8, 8, 8))


def test_keys_number_the_box_in_row_major_order() -> None:
    local = torch.cartesian_prod(*[torch.arange(8, dtype=torch.int32)] * 3)
    assert torch.equal(BOX.keys(local), torch.arange(512))
    assert torch.equal(BOX.local(torch.arange(512)), local)


def test_only_rows_inside_the_box_are_taken_and_replaced() -> None:
    table = GlobalMap(1)
    table.load_state({"coordinates": torch.tensor([[-8, 0, 8], [0, 0, 8]]).int(), "values": torch.tensor([[1.0], [2.0]])})
    keys, values = table.read(BOX)
    assert keys.tolist() == [0]
    assert values.tolist() == [[1.0]]
    table.write(BOX, torch.tensor([511]), torch.tensor([[3.0]]))
    assert table.coordinates.tolist() == [[0, 0, 8], [-1, 7, 15]]
    assert table.values.tolist() == [[2.0], [3.0]]


def test_other_rows_of_the_box_may_stay() -> None:
    table = GlobalMap(1)
    table.write(BOX, torch.tensor([0, 1]), torch.tensor([[1.0], [2.0]]))
    table.write(BOX, torch.tensor([2, 1]), torch.tensor([[4.0], [3.0]]), same_keys_only=True)
    keys, values = table.read(BOX)
    assert dict(zip(keys.tolist(), values[:, 0].tolist())) == {0: 1.0, 1: 3.0, 2: 4.0}


def test_what_is_kept_has_no_gradient() -> None:
    table = GlobalMap(1)
    table.write(BOX, torch.tensor([0]), torch.ones(1, 1, requires_grad=True))
    assert not table.values.requires_grad


def test_a_state_of_other_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="2 channels"):
        GlobalMap(2).load_state(GlobalMap(1).state())


def test_values_are_spread_over_keys_in_any_order() -> None:
    source = torch.tensor([[1.0], [2.0], [3.0]], requires_grad=True)
    out = spread(torch.tensor([7, 2, 5]), torch.tensor([5, 9, 7]), source, fill=-1)
    assert out[:, 0].tolist() == [3.0, -1.0, 1.0]
    out.sum().backward()
    assert source.grad is not None
    assert source.grad[:, 0].tolist() == [1.0, 0.0, 1.0]
    assert spread(torch.tensor([1]), torch.zeros(0).long(), torch.zeros(0, 2), fill=4).tolist() == [[4.0, 4.0]]


def test_a_union_is_ascending_and_without_repetition() -> None:
    assert union(torch.tensor([4, 1]), torch.tensor([1, 0])).tolist() == [0, 1, 4]


def test_names_survive_as_tensors() -> None:
    assert decode_name(encode_name("scène0707_00")) == "scène0707_00"

"""Checkpoints of other programs: state dicts are found by key, and mismatches are reported in one line."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch
from torch import nn

from deep3dmap.core import UserError
from deep3dmap.nn.official_checkpoints import check_state_dict, fill, get_state_dict, read_checkpoint, strip_prefix


def network(width: int = 3) -> nn.Module:
    torch.manual_seed(width)
    return nn.Sequential(nn.Linear(2, width), nn.Linear(width, 1))


def test_a_state_fills_a_network_of_its_size() -> None:
    first, second = network(), network()
    nn.init.zeros_(second[0].weight)  # type: ignore[index,arg-type]
    fill(second, first.state_dict(), "file.pt")
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def test_what_does_not_fit_is_named_and_changes_nothing() -> None:
    ours = network()
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    state = {"0.weight": torch.zeros(4, 2), "0.bias": torch.zeros(3), "1.weight": torch.zeros(1, 3), "2.bias": torch.zeros(1)}
    with pytest.raises(UserError) as caught:
        fill(ours, state, "file.pt: generator")
    message = str(caught.value)
    assert message.startswith("file.pt: generator: does not fit")
    assert "missing: 1.bias; unexpected: 2.bias; of another size: 0.weight (4, 2), not (3, 2)" in message
    assert all(torch.equal(value, ours.state_dict()[name]) for name, value in before.items())


def test_many_faults_are_counted() -> None:
    expected = {f"layer{number}": torch.zeros(1) for number in range(9)}
    with pytest.raises(UserError, match=r"missing: layer0, layer1, layer2, layer3 and 5 more; ask its author"):
        check_state_dict({}, expected, "file.pt", "ask its author")


def test_a_file_with_its_programs_options_is_read_and_one_with_code_is_not(tmp_path: Path) -> None:
    torch.save({"args": Namespace(size=3), "g": network().state_dict()}, tmp_path / "good.pt")
    content = read_checkpoint(tmp_path / "good.pt")
    assert content["args"].size == 3
    assert get_state_dict(content, "g", tmp_path / "good.pt").keys() == {"0.weight", "0.bias", "1.weight", "1.bias"}
    with pytest.raises(UserError, match="no state dict under 'd'; available keys: args, g"):
        get_state_dict(content, "d", tmp_path / "good.pt")
    torch.save({"g": network()}, tmp_path / "code.pt")
    with pytest.raises(UserError, match="could run code"):
        read_checkpoint(tmp_path / "code.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UserError, match="this file contains a list"):
        read_checkpoint(tmp_path / "list.pt")
    with pytest.raises(UserError, match="no such checkpoint; they are at example"):
        read_checkpoint(tmp_path / "none.pt", "they are at example")


def test_a_prefix_chooses_and_leaves() -> None:
    state = {"a.x": torch.ones(1), "ab.x": torch.ones(2), "b.a.x": torch.ones(3)}
    assert list(strip_prefix(state, "a.")) == ["x"]

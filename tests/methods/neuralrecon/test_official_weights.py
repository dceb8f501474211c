"""Official checkpoints: accepted files, rejected files, and first-phase files without recurrent cells."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from deep3dmap.core import UserError
from deep3dmap.methods.neuralrecon.official_weights import load_official, read_official


class Small(nn.Module):
    def __init__(self, fusion: bool = True) -> None:
        super().__init__()
        self.backbone2d = nn.Linear(2, 1)
        self.neucon_net = nn.Module()
        if fusion:
            self.neucon_net.gru_fusion = nn.Linear(1, 1)


def save(file: Path, network: nn.Module, **extra: Any) -> Path:
    model = OrderedDict((f"module.{name}", value) for name, value in network.state_dict().items())
    torch.save({"epoch": 47, "model": model, "optimizer": {"state": {}, "param_groups": []}, **extra}, file)
    return file


def equal(ours: nn.Module, theirs: nn.Module, name: str) -> bool:
    return torch.equal(ours.get_parameter(name), theirs.get_parameter(name))


def test_every_parameter_is_filled(tmp_path: Path) -> None:
    theirs, ours = Small(), Small()
    assert load_official(ours, save(tmp_path / "a.ckpt", theirs)) == "loaded"
    assert all(equal(ours, theirs, name) for name, _ in ours.named_parameters())
    assert read_official(tmp_path / "a.ckpt").epoch == 47


def test_a_first_phase_checkpoint_leaves_the_recurrent_cells_alone(tmp_path: Path) -> None:
    theirs, ours = Small(fusion=False), Small()
    before = ours.neucon_net.gru_fusion.weight.clone()
    assert load_official(ours, save(tmp_path / "a.ckpt", theirs)) == "absent"
    assert equal(ours, theirs, "backbone2d.weight")
    assert torch.equal(ours.neucon_net.gru_fusion.weight, before)


def test_a_network_without_recurrent_cells_takes_the_rest(tmp_path: Path) -> None:
    theirs, ours = Small(), Small(fusion=False)
    assert load_official(ours, save(tmp_path / "a.ckpt", theirs)) == "unused"
    assert equal(ours, theirs, "backbone2d.weight")


def test_keys_that_do_not_fit_are_named_and_nothing_is_changed(tmp_path: Path) -> None:
    theirs, ours = Small(), Small()
    theirs.backbone2d = nn.Linear(3, 1, bias=False)
    theirs.extra = nn.Linear(1, 1, bias=False)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    with pytest.raises(UserError) as error:
        load_official(ours, save(tmp_path / "a.ckpt", theirs))
    for part in ("a.ckpt", "missing: backbone2d.bias", "unexpected: extra.weight", "backbone2d.weight (1, 3), not (1, 2)"):
        assert part in str(error.value)
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())


def test_a_recurrent_cell_that_lacks_a_parameter_is_refused(tmp_path: Path) -> None:
    theirs = Small()
    theirs.neucon_net.gru_fusion = nn.Linear(1, 1, bias=False)
    with pytest.raises(UserError, match=r"missing: neucon_net\.gru_fusion\.bias"):
        load_official(Small(), save(tmp_path / "a.ckpt", theirs))


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.ckpt").write_text("weights")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    torch.save({"weights": {}}, tmp_path / "other.ckpt")
    torch.save({"model": Small()}, tmp_path / "code.ckpt")
    with pytest.raises(UserError, match="no such checkpoint"):
        read_official(tmp_path / "absent.ckpt")
    with pytest.raises(UserError, match="under 'model'"):
        read_official(tmp_path / "other.ckpt")
    for name in ("text", "empty", "code"):
        with pytest.raises(UserError, match=r"not a checkpoint|contains Python objects"):
            read_official(tmp_path / f"{name}.ckpt")

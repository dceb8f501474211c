"""Checkpoints of GAN2Shape and of the older deep3dmap: all networks are loaded, or a clear error is raised."""

from pathlib import Path

import pytest
import torch

from deep3dmap.core.errors import UserError
from deep3dmap.methods.gan2shape.networks import ShapeNetworks
from deep3dmap.methods.gan2shape.official_weights import NAMES, load_networks


def networks(seed: int, size: int = 16) -> ShapeNetworks:
    torch.manual_seed(seed)
    return ShapeNetworks(size, 8, width=16, code=8, offset_width=4)


@pytest.mark.parametrize("naming", [0, 1])
def test_both_namings(tmp_path: Path, naming: int) -> None:
    given, ours = networks(0), networks(1)
    content = {names[naming]: getattr(given, name).state_dict() for name, names in NAMES.items()}
    content["netD" if naming == 0 else "depth_head"] = {f"module.{k}": v for k, v in given.depth.state_dict().items()}
    torch.save({**content, "optimizerD": {}, "iteration": 3}, tmp_path / "all.pth")
    load_networks(ours, tmp_path / "all.pth")
    for name, value in ours.state_dict().items():
        assert torch.equal(value, given.state_dict()[name])


def test_what_does_not_fit(tmp_path: Path) -> None:
    content = {names[0]: getattr(networks(0), name).state_dict() for name, names in NAMES.items()}
    cases = [
        ("no network netV", {name: state for name, state in content.items() if name != "netV"}),
        ("no network netD", [1]),
        ("netD: does not fit .* missing: network", {**content, "netD": {"network.1.weight": torch.zeros(1)}}),
    ]
    for number, (words, given) in enumerate(cases):
        torch.save(given, tmp_path / f"{number}.pth")
        with pytest.raises(UserError, match=words):
            load_networks(networks(1), tmp_path / f"{number}.pth")
    torch.save(content, tmp_path / "all.pth")
    with pytest.raises(UserError, match=r"netD: does not fit .* of another size"):
        load_networks(networks(1, 32), tmp_path / "all.pth")
    with pytest.raises(UserError, match="No such file"):
        load_networks(networks(1), tmp_path / "none.pth")

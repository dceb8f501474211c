"""The networks of unsup3d: sizes, and published checkpoints, which are loaded completely or refused with a clear error."""

from pathlib import Path

import pytest
import torch

from deep3dmap.core.errors import UserError
from deep3dmap.methods.unsup3d.networks import NAMES, ConfidenceNetwork, DepthNetwork, Unsup3DNetworks, load_networks


@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_deviations_of_pixels_and_of_features(size: int) -> None:
    found = ConfidenceNetwork(size, width=8, code=4)(torch.randn(2, 3, size, size))
    assert found.pixels.shape == (2, 2, size, size)
    assert found.features.shape == (2, 2, size // 4, size // 4)
    assert float(found.pixels.detach().min()) > 0
    assert float(found.features.detach().min()) > 0


def test_published_sizes() -> None:
    networks = Unsup3DNetworks(64)
    millions = {name: sum(p.numel() for p in getattr(networks, name).parameters()) / 1e6 for name in NAMES}
    # Parameters of the official layers, in millions; view and light have half the channels of depth.
    wanted = {"depth": 12.980, "albedo": 12.983, "view": 1.740, "light": 1.739, "confidence": 7.678}
    assert millions == pytest.approx(wanted, abs=0.001)


def test_a_bulge_comes_nearer_in_the_middle_and_is_no_weight() -> None:
    torch.manual_seed(0)
    flat, bulging = DepthNetwork(16, 0.0, width=8, code=4), DepthNetwork(16, 0.5, width=8, code=4)
    bulging.load_state_dict(flat.state_dict())
    images = torch.randn(1, 3, 16, 16)
    added = (bulging(images) - flat(images)).detach()[0, 0]
    assert float(added[7:9, 7:9].mean()) == pytest.approx(-0.5, abs=0.01)
    assert float(added[0, 0]) == pytest.approx(-0.5 * 2.718281828**-4, abs=1e-4)
    torch.testing.assert_close(added, added.flip(1))


def _published(networks: Unsup3DNetworks) -> dict[str, dict[str, torch.Tensor]]:
    content = {published: getattr(networks, ours).state_dict() for ours, published in NAMES.items()}
    renamed = {name.replace("pixels.", "out_net1.").replace("features.", "out_net2."): v for name, v in content["netC"].items()}
    return {**content, "netC": renamed}


def test_a_published_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    given, ours = Unsup3DNetworks(16, width=8, code=8), Unsup3DNetworks(16, width=8, code=8)
    torch.save({**_published(given), "optimizerD": {}, "epoch": 3}, tmp_path / "checkpoint030.pth")
    load_networks(ours, tmp_path / "checkpoint030.pth")
    for name, value in ours.state_dict().items():
        assert torch.equal(value, given.state_dict()[name]), name


def test_what_does_not_fit(tmp_path: Path) -> None:
    networks, file = Unsup3DNetworks(16, width=8, code=8), tmp_path / "checkpoint.pth"
    torch.save({name: state for name, state in _published(networks).items() if name != "netC"}, file)
    with pytest.raises(UserError, match=r"checkpoint.pth: no state dict under 'netC'"):
        load_networks(networks, file)
    torch.save(_published(Unsup3DNetworks(16, width=16, code=8)), file)
    with pytest.raises(UserError, match=r"checkpoint.pth: netD"):
        load_networks(networks, file)
    with pytest.raises(UserError, match="published in elliottwu/unsup3d"):
        load_networks(networks, tmp_path / "none.pth")

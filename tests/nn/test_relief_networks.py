"""The networks of unsup3d, LPIPS and BiSeNet without golden vectors: sizes, shapes, finite gradients, names."""

import pytest
import torch

from deep3dmap.core.errors import UserError
from deep3dmap.nn.bisenet import BiSeNet
from deep3dmap.nn.lpips import LPIPS, from_official_lpips
from deep3dmap.nn.relief_networks import PictureToPicture, PictureToVector, ResidualEncoder, halvings, official_width


@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_every_size(size: int) -> None:
    images = torch.randn(2, 3, size, size)
    assert PictureToPicture(size, 1, width=8, code=4)(images).shape == (2, 1, size, size)
    albedo = PictureToPicture(size, 3, width=8, code=4, squash=True)(100 * images)
    assert albedo.shape == (2, 3, size, size)
    assert float(albedo.detach().abs().max()) <= 1
    assert PictureToVector(size, 6, width=8)(images).shape == (2, 6)
    assert ResidualEncoder(size, 5, width=4)(images).shape == (2, 5)


def test_published_sizes() -> None:
    assert [official_width(size) for size in (64, 128, 256)] == [64, 32, 16]
    assert [halvings(size) for size in (16, 64, 128)] == [2, 4, 5]
    parameters = {size: sum(p.numel() for p in PictureToPicture(size, 1).parameters()) / 1e6 for size in (64, 128)}
    assert parameters[64] == pytest.approx(12.95, abs=0.05)
    assert parameters[128] == pytest.approx(12.95, abs=0.05)
    assert sum(p.numel() for p in ResidualEncoder(64, 512).parameters()) / 1e6 == pytest.approx(3.57, abs=0.01)
    for size in (8, 48):
        with pytest.raises(UserError, match="power of two"):
            PictureToPicture(size, 1)


def test_lpips_of_equal_and_of_masked_pictures() -> None:
    torch.manual_seed(0)
    network = LPIPS()
    assert not any(value.requires_grad for value in network.parameters())
    for layer in network.features:
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(network(images, images), torch.zeros(2))
    assert (network(images, images.flip(3)) > 0).all()
    # If all features are 0, as with this shift, a naive square root gives NaN gradients.
    grey = network.shift.expand(1, 3, 32, 32).clone().requires_grad_()
    network(grey, torch.zeros(1, 3, 32, 32)).sum().backward()
    assert grey.grad is not None
    assert grey.grad.isfinite().all()


def test_names_of_lpips() -> None:
    network = LPIPS()
    own = network.state_dict()
    official = {
        f"net.slice1.{name.removeprefix('features.')}": value for name, value in own.items() if name.startswith("features")
    }
    official |= {f"lin{k}.model.1.weight": own[f"heads.{k}"][None, :, None, None] for k in range(5)}
    official["scaling_layer.shift"] = torch.zeros(1)
    assert from_official_lpips(official).keys() == own.keys()
    # The published package contains its heads twice.
    official |= {f"lins.{k}.model.1.weight": official[f"lin{k}.model.1.weight"] for k in range(5)}
    assert from_official_lpips(official).keys() == own.keys()
    network.load_state_dict(from_official_lpips(official))
    torchvision = {
        **{name: value for name, value in own.items() if name.startswith("features")},
        "classifier.0.bias": torch.zeros(1),
    }
    assert from_official_lpips(torchvision).keys() == {name for name in own if name.startswith("features")}
    with pytest.raises(UserError, match="is not a tensor of LPIPS"):
        from_official_lpips({"alex.0": torch.zeros(1)})


def test_bisenet_labels_every_pixel() -> None:
    network = BiSeNet(5).eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        logits, labels = network(images), network.labels(images)
    assert logits.main.shape == (2, 5, 8, 12)
    assert logits.from_last.shape == (2, 5, 4, 6)
    assert labels.shape == (2, 64, 96)
    assert set(labels.unique().tolist()) <= set(range(5))

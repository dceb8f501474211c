"""Frozen judges: sources of the perceptual distance and the mask, and unsuitable files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from deep3dmap.core import UserError
from deep3dmap.methods.gan2shape.frozen_gan import frozen_gan
from deep3dmap.methods.gan2shape.judges import load_lpips, load_parser, object_mask, perceptual_distance
from deep3dmap.methods.gan2shape.losses import discriminator_distance
from deep3dmap.nn.bisenet import BiSeNet
from deep3dmap.nn.lpips import LPIPS
from deep3dmap.nn.pspnet import PSPNet


def test_lpips_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = LPIPS()
    # With the names used by torchvision and the official heads.
    state = {name: value for name, value in source.state_dict().items() if name.startswith("features.")}
    state |= {f"lin{index}.model.1.weight": head.data[None, :, None, None] for index, head in enumerate(source.heads)}
    torch.save(state, tmp_path / "lpips.pt")
    found = load_lpips(str(tmp_path / "lpips.pt"))
    first, second = torch.rand(2, 1, 3, 16, 16)
    _, discriminator = frozen_gan("untrained")
    assert torch.equal(perceptual_distance(found, discriminator)(first, second), source(first, second))
    assert not any(p.requires_grad for p in found.parameters())


def test_without_lpips_the_discriminator_judges() -> None:
    _, discriminator = frozen_gan("untrained")
    first, second = torch.rand(2, 1, 3, 32, 32)
    assert load_lpips("") is None
    distance = perceptual_distance(None, discriminator)
    assert float(distance(first, second)) == float(discriminator_distance(discriminator, first, second))
    assert float(distance(first, first)) == 0


def test_masks_of_the_parsing_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(BiSeNet().state_dict(), tmp_path / "parser.pt")
    parser = load_parser(str(tmp_path / "parser.pt"), "face")
    assert not parser.training
    labels = torch.zeros(1, 512, 512, dtype=torch.long)
    labels[:, 128:384, 128:384], labels[:, 384:, 128:384] = 1, 14
    parser.labels = lambda images: labels if images.shape == (1, 3, 512, 512) else None
    picture = torch.zeros(1, 3, 16, 16)
    face, synface = object_mask(parser, picture, "face")[0, 0], object_mask(parser, picture, "synface")[0, 0]
    assert (face[4:12, 4:12] == 1).all()
    assert (face[12:, 4:12] == 0.5).all()
    assert (synface[12:, 4:12] == 1).all()
    assert (face[:4] == 0).all()


@pytest.mark.parametrize(("category", "classes", "label"), [("cat", 21, 8), ("car", 21, 7), ("church", 150, 1)])
def test_masks_of_scenes(category: str, classes: int, label: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = PSPNet(classes)
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"epoch": 50, "state_dict": {**state, "module.aux.0.weight": torch.zeros(1)}}, tmp_path / "psp.pth")
    parser = load_parser(str(tmp_path / "psp.pth"), category)
    assert isinstance(parser, PSPNet)
    assert not parser.training
    assert torch.equal(parser.cls[4].weight, network.cls[4].weight)
    seen: list[torch.Tensor] = []

    def labels(images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        found = torch.zeros(1, 473, 473, dtype=torch.long)
        found[:, :237] = label
        return found

    parser.labels = labels  # type: ignore[method-assign]
    mask = object_mask(parser, torch.full((1, 3, 16, 16), 1.0), category)[0, 0]
    assert (mask[:7] == 1).all()
    assert (mask[9:] == 0).all()
    white = torch.tensor([1.0, 1.0, 1.0]) if category == "church" else torch.tensor([2.2489, 2.4286, 2.6400])
    torch.testing.assert_close(seen[0][0, :, 0, 0], white, atol=1e-3, rtol=0)


def test_a_face_parser_knows_no_cats(tmp_path: Path) -> None:
    torch.save(BiSeNet().state_dict(), tmp_path / "parser.pt")
    with pytest.raises(UserError, match="does not fit"):
        load_parser(str(tmp_path / "parser.pt"), "cat")


@pytest.mark.parametrize(
    "load", [load_lpips, lambda named: load_parser(named, "face"), lambda named: load_parser(named, "car")]
)
def test_files_that_hold_something_else(load: Callable[[str], Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        load("/nowhere/weights.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(UserError, match="not a checkpoint saved by torch"):
        load(str(tmp_path / "text.pt"))
    torch.save({"features.0.weight": torch.zeros(2)}, tmp_path / "few.pt")
    with pytest.raises(UserError, match=r"does not fit|not VGG-16 with LPIPS"):
        load(str(tmp_path / "few.pt"))

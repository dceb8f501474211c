"""GAN2Shape's networks against the official code's, under the official names."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from deep3dmap.nn.bisenet import BiSeNet
from deep3dmap.nn.lpips import LPIPS, SCALE, SHIFT, from_official_lpips
from deep3dmap.nn.relief_networks import PictureToPicture, PictureToVector, ResidualEncoder, official_width

Load = Callable[[str], Any]
Error = Callable[[Tensor, np.ndarray], float]
TOLERANCE = 1e-4


def networks(settings: dict[str, Any]) -> dict[str, nn.Module]:
    size, encoder = settings["size"], settings["netEnc"]
    width, code = settings["nf_D_A_V_L"], settings["zdim"]
    assert width == official_width(size)
    assert width == 4 * settings["gn_base"]
    return {
        "netD": PictureToPicture(size, 1, width=width, code=code),
        "netA": PictureToPicture(size, 3, width=width, code=code, squash=True),
        "netV": PictureToVector(size, 6, width=width),
        "netL": PictureToVector(size, 4, width=width),
        "netEnc": ResidualEncoder(encoder["size"], encoder["cout"], width=encoder["nf"]),
    }


@pytest.mark.parametrize("name", ["networks64", "networks128"])
def test_networks(load_part: Load, relative_error: Error, name: str) -> None:
    part = load_part(f"gan2shape/{name}")
    for prefix, network in networks(part.manifest["settings"]).items():
        network.load_state_dict(
            {key.removeprefix(f"{prefix}."): value for key, value in part.state.items() if key.startswith(f"{prefix}.")}
        )
        images = part.tensor("x").clone().requires_grad_()
        out = network(images)
        assert relative_error(out, part.arrays[f"{prefix}/y"]) < TOLERANCE, prefix
        (gradient,) = torch.autograd.grad((out * part.tensor(f"{prefix}/cot")).sum(), images)
        assert relative_error(gradient, part.arrays[f"{prefix}/grad_x"]) < TOLERANCE, prefix


def test_lpips(load_part: Load, relative_error: Error) -> None:
    part = load_part("gan2shape/lpips_vgg")
    for name, ours in (("shift", SHIFT), ("scale", SCALE)):
        torch.testing.assert_close(part.state[f"scaling_layer.{name}"].flatten(), torch.tensor(ours))
    network = LPIPS()
    network.load_state_dict(from_official_lpips(part.state))
    predicted = part.tensor("pred").clone().requires_grad_()
    distance = network(predicted, part.tensor("target"))
    assert relative_error(distance, part.arrays["distance"].flatten()) < TOLERANCE
    (gradient,) = torch.autograd.grad(distance.mean(), predicted)
    assert relative_error(gradient, part.arrays["grad_pred_of_mean"]) < TOLERANCE


def test_bisenet(load_part: Load, relative_error: Error) -> None:
    part = load_part("gan2shape/bisenet")
    network = BiSeNet(part.manifest["settings"]["n_classes"]).eval()
    network.load_state_dict(part.state)
    images = part.tensor("x")
    with torch.no_grad():
        logits, labels = network(images), network.labels(images)
    # The official code brings all three to the picture's size; the vectors hold every fourth or eighth pixel of that.
    for ours, name, step in zip(logits, ("logits_stride4", "aux16_stride8", "aux32_stride8"), (4, 8, 8)):
        whole = functional.interpolate(ours, size=images.shape[2:], mode="bilinear", align_corners=True)
        assert relative_error(whole[:, :, ::step, ::step], part.arrays[name]) < TOLERANCE, name
    sure = part.tensor("top2_margin") > 1e-3
    assert float(sure.float().mean()) > 0.99
    assert torch.equal(labels[sure], part.tensor("labels").long()[sure])

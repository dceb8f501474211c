"""GAN2Shape's losses, metrics, first guess and masks against the official code's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.data.formats.face_depth import depth_of_grey
from deep3dmap.geometry.ellipsoid_relief import ellipsoid_depth
from deep3dmap.geometry.relief import ReliefCamera
from deep3dmap.geometry.relief_losses import photometric_loss, smoothness_loss
from deep3dmap.methods.gan2shape.losses import discriminator_distance
from deep3dmap.methods.gan2shape.masks import center_crop, face_mask, resize
from deep3dmap.metrics.relief_depth import (
    common_pixels,
    mean_absolute_error,
    mean_angle_deviation,
    mean_squared_error,
    scale_invariant_error,
)
from deep3dmap.nn.stylegan2 import Discriminator
from deep3dmap.nn.stylegan2.names import to_our_names
from deep3dmap.nn.stylegan2.network_files import fit, size_of_discriminator

Load = Callable[[str], Any]
Error = Callable[[Tensor, np.ndarray], float]
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def part(load_part: Load) -> Any:
    return load_part("gan2shape/losses_metrics")


def test_depth_of_a_png(part: Any) -> None:
    settings = part.manifest["settings"]
    depth = depth_of_grey(part.arrays["png_unit"], settings["min_depth"], settings["max_depth"])
    np.testing.assert_allclose(depth, part.arrays["png_depth"], rtol=1e-6)


def test_losses(part: Any, relative_error: Error) -> None:
    one, two, mask = (part.tensor(name) for name in ("im1", "im2", "mask"))
    ours = {
        "photometric": photometric_loss(one, two),
        "photometric_mask": photometric_loss(one, two, mask),
        "photometric_mask_conf": photometric_loss(one, two, mask, part.tensor("conf_sigma")),
        "smooth_loss3": smoothness_loss(part.tensor("smooth_in3")),
        "smooth_loss4": smoothness_loss(part.tensor("smooth_in4")),
    }
    for name, value in ours.items():
        assert relative_error(value, part.arrays[name]) < TOLERANCE, name


def test_metrics(part: Any, relative_error: Error) -> None:
    predicted, truth = part.tensor("pred_depth"), part.tensor("gt_depth")
    mask = common_pixels(truth, part.tensor("pred_valid"), truth.max())
    assert torch.equal(mask, part.tensor("eval_mask"))
    camera = ReliefCamera(part.manifest["settings"]["metric_size"])
    ours = {
        "SIDE": scale_invariant_error(predicted, truth, mask),
        "MAD_deg": mean_angle_deviation(predicted, truth, mask, camera),
        "MAE": mean_absolute_error(predicted, truth, mask),
        "MSE": mean_squared_error(predicted, truth, mask),
    }
    for name, value in ours.items():
        assert relative_error(value, part.arrays[name]) < TOLERANCE, name


@pytest.mark.parametrize("category", ["face", "synface", "cat", "car", "church"])
def test_ellipsoid(part: Any, relative_error: Error, category: str) -> None:
    settings = part.manifest["settings"]
    given = settings.get(category, settings)
    ours = ellipsoid_depth(part.tensor("ellipsoid_mask"), category, given["prior_near"], given["prior_far"])  # type: ignore[arg-type]
    assert relative_error(ours[None], part.arrays[f"ellipsoid_{category}"]) < TOLERANCE


def test_masks_and_sizes(part: Any, relative_error: Error) -> None:
    labels = part.tensor("parse_logits").argmax(1)
    assert torch.equal(labels, part.tensor("parse_labels")[:, 0].long())
    assert torch.equal(face_mask(labels), part.tensor("mask_face"))
    assert torch.equal(face_mask(labels, "synface"), part.tensor("mask_synface"))
    images = part.tensor("resize_in")
    for side in (20, 7):
        assert relative_error(resize(images, side), part.arrays[f"resize_to_{side}"]) < TOLERANCE
    assert torch.equal(center_crop(images, 8), part.tensor("crop_to_8"))


def test_discriminator_distance(load_part: Load, relative_error: Error) -> None:
    part = load_part("gan2shape/disc_loss")
    state = to_our_names(part.state, "discriminator")
    network = Discriminator(size_of_discriminator(state))
    fit(network, state)
    fake = part.tensor("fake").clone().requires_grad_()
    real, mask = part.tensor("real"), part.tensor("mask")
    assert relative_error(discriminator_distance(network, fake, real), part.arrays["loss_nomask"]) < TOLERANCE
    loss = discriminator_distance(network, fake, real, mask)
    assert relative_error(loss, part.arrays["loss_mask"]) < TOLERANCE
    (gradient,) = torch.autograd.grad(loss, fake)
    expected = part.tensor("grad_fake_of_loss_mask")
    # Features that differ by rounding alone give their gradient either sign.
    assert float((gradient - expected).norm() / expected.norm()) < 1e-3
    assert relative_error(gradient, part.arrays["grad_fake_of_loss_mask"]) < 1e-2

"""GAN2Shape's losses, metrics, first guess and masks against the official code's."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from deep3dmap.data.formats.face_depth import depth_of_grey
from deep3dmap.geometry.ellipsoid_relief import ellipsoid_depth
from deep3dmap.geometry.relief import ReliefCamera
from deep3dmap.geometry.relief_losses import photometric_loss, smoothness_loss
from deep3dmap.methods.gan2shape.losses import BLOCKS, discriminator_distance
from deep3dmap.methods.gan2shape.masks import center_crop, face_mask, resize
from deep3dmap.metrics.relief_depth import (
    common_pixels,
    mean_absolute_error,
    mean_angle_deviation,
    mean_squared_error,
    scale_invariant_error,
)
from deep3dmap.nn.official_checkpoints import fill
from deep3dmap.nn.stylegan2 import Discriminator
from deep3dmap.nn.stylegan2.names import to_our_names
from deep3dmap.nn.stylegan2.network_files import infer_discriminator_size

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


@pytest.fixture(scope="module")
def judged(load_part: Load) -> tuple[Any, Discriminator]:
    part = load_part("gan2shape/disc_loss")
    state = to_our_names(part.state, "discriminator")
    network = Discriminator(infer_discriminator_size(state))
    fill(network, state, "golden")
    return part, network


def test_discriminator_distance(judged: tuple[Any, Discriminator], relative_error: Error) -> None:
    part, network = judged
    fake, real, mask = (part.tensor(name) for name in ("fake", "real", "mask"))
    assert relative_error(discriminator_distance(network, fake, real), part.arrays["loss_nomask"]) < TOLERANCE
    assert relative_error(discriminator_distance(network, fake, real, mask), part.arrays["loss_mask"]) < TOLERANCE


def test_gradient_of_the_discriminator_distance(judged: tuple[Any, Discriminator]) -> None:
    """The gradient of |f - g| turns round where a feature is equal but for rounding: there either sign, or none, is right."""
    part, network = judged
    network = deepcopy(network).double()
    fake, real, mask = (part.tensor(name).double() for name in ("fake", "real", "mask"))
    fake.requires_grad_()
    expected = part.tensor("grad_fake_of_loss_mask").double().flatten()
    with torch.no_grad():
        wanted = network.features(real, BLOCKS)
    sure, doubtful = fake.new_zeros(()), []
    for ours, theirs in zip(network.features(fake, BLOCKS), wanted):
        weight = adaptive_avg_pool2d(mask, ours.shape[2:]).expand_as(ours)
        apart = (ours - theirs) * weight / weight.sum()
        even = (ours - theirs).abs() < 3e-6 * theirs.abs().mean()
        sure = sure + apart.abs()[~even].sum()
        doubtful += list(apart[even & (weight > 0)])
    assert len(doubtful) < 20
    whole = discriminator_distance(network, fake, real, mask).detach()
    assert float(whole) == pytest.approx(float(sure.detach()), rel=1e-6)
    columns = [torch.autograd.grad(one, fake, retain_graph=True)[0].flatten() for one in doubtful]
    left = expected - torch.autograd.grad(sure, fake)[0].flatten()
    if columns:
        signs = torch.linalg.lstsq(torch.stack(columns, 1), left[:, None]).solution[:, 0]
        assert bool((signs - signs.round()).abs().max() < 1e-2)
        assert bool(signs.abs().max() < 1.1)
        left = left - torch.stack(columns, 1) @ signs.round()
    assert float(left.norm() / expected.norm()) < TOLERANCE
    assert float(left.abs().max() / expected.abs().max()) < TOLERANCE

"""PSNR and SSIM against scikit-image, closed forms, and invalid arguments."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from deep3dmap.metrics.image_similarity import image_similarity, psnr, ssim


def pair(seed: int, noise: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    truth = rng.random((3, 24, 31))
    return torch.tensor(truth + noise * rng.standard_normal(truth.shape)), torch.tensor(truth)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("noise", [0.01, 0.2])
def test_scikit_image_agrees(seed: int, noise: float) -> None:
    predicted, truth = (image.clamp(0, 1) for image in pair(seed, noise))
    ours = image_similarity(predicted, truth)
    assert ours["psnr"] == pytest.approx(peak_signal_noise_ratio(truth.numpy(), predicted.numpy(), data_range=1))
    theirs = structural_similarity(
        truth.numpy(), predicted.numpy(), data_range=1, channel_axis=0, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False,
    )  # fmt: skip
    assert ours["ssim11"] == pytest.approx(theirs, abs=1e-9)


def test_identical_images_have_a_finite_ratio() -> None:
    _, truth = pair(0)
    assert image_similarity(truth, truth) == pytest.approx({"mse": 0, "psnr": 100, "psnr8": 100, "ssim11": 1})


def test_a_constant_offset_is_known() -> None:
    truth = torch.full((3, 16, 16), 0.5)
    assert psnr(truth + 0.1, truth) == pytest.approx(20)
    contrast = 2 * 0.5 * 0.6 + 0.01**2
    assert ssim(truth + 0.1, truth) == pytest.approx(contrast / (0.5**2 + 0.6**2 + 0.01**2), abs=1e-6)


def test_predictions_are_clipped_and_eight_bits_are_rounded_once() -> None:
    truth = torch.ones(3, 16, 16)
    assert image_similarity(truth + 5, truth)["psnr"] == 100
    stored = torch.randint(0, 256, (3, 16, 16)) / 255
    values = image_similarity(stored + 0.4 / 255, stored)
    assert values["psnr8"] == 100
    assert values["psnr"] < 60


def test_low_contrast_keeps_the_range_of_one() -> None:
    predicted, truth = (image.clamp(0, 1) for image in pair(1))
    assert ssim(predicted * 0.1 + 0.4, truth * 0.1 + 0.4) > ssim(predicted, truth)


def test_the_mean_of_ratios_is_above_the_ratio_of_the_mean() -> None:
    truth = torch.zeros(2, 3, 16, 16)
    predicted = truth + torch.tensor([0.01, 0.5])[:, None, None, None]
    apart = sum(psnr(one, other) for one, other in zip(predicted, truth)) / 2
    assert apart > psnr(predicted, truth) + 5


def test_perceptual_distances_are_given_images_between_minus_one_and_one() -> None:
    seen: list[torch.Tensor] = []

    def distance(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        seen.extend([first, second])
        return (first - second).abs().mean()

    predicted, truth = pair(2)
    values = image_similarity(predicted, truth, {"lpips_alex": distance})
    assert values["lpips_alex"] == pytest.approx(2 * (predicted.clamp(0, 1) - truth).abs().mean().item(), rel=1e-5)
    assert seen[0].min() < -0.5
    assert "lpips_alex" not in image_similarity(predicted, truth)


def test_wrong_images_are_refused() -> None:
    predicted, truth = pair(0)
    with pytest.raises(ValueError, match="11 x 11"):
        ssim(predicted[:, :10], truth[:, :10])
    with pytest.raises(ValueError, match="of one shape"):
        psnr(predicted[:, :-1], truth)
    with pytest.raises(ValueError, match="NaN"):
        psnr(predicted * math.nan, truth)

"""Embedded features: their sensitivities and invariances, and that they distinguish sets of images."""

from pathlib import Path

import numpy as np
import pytest
import torch

from deep3dmap.core import UserError
from deep3dmap.metrics.feature_statistics import FeatureStatistics
from deep3dmap.metrics.generated_images import frechet_distance
from deep3dmap.metrics.picture_features import EmbeddedFeatures, InceptionFeatures

FEATURES = EmbeddedFeatures()


def waves(angle: float, period: float = 8.0) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    along = columns * np.cos(angle) + rows * np.sin(angle)
    return (0.5 + 0.4 * torch.sin(2 * torch.pi * along / period)).expand(1, 3, -1, -1)


def test_layout_is_the_mean_of_cells() -> None:
    pictures = torch.rand(2, 3, 32, 32)
    found = FEATURES(pictures)
    assert found.shape == (2, 288)
    luma = np.einsum("nchw,c->nhw", (pictures * 2 - 1).numpy(), [0.299, 0.587, 0.114])
    cells = luma.reshape(2, 8, 4, 8, 4).mean((2, 4)).reshape(2, -1)
    np.testing.assert_allclose(found[:, :64], cells, atol=1e-6)


@pytest.mark.parametrize("bin_", range(6))
def test_orientations_fall_into_their_bins(bin_: int) -> None:
    edges = FEATURES(waves(bin_ * np.pi / 6))[0, 96:192].reshape(6, 4, 4).mean((1, 2))
    assert edges.argmax() == bin_
    # All the energy is in one orientation bin.
    assert np.sort(edges)[-2] < 0.35 * edges[bin_]


def test_grey_light_moves_luma_only() -> None:
    dark, bright = torch.full((1, 3, 16, 16), 0.3), torch.full((1, 3, 16, 16), 0.6)
    changed = np.abs(FEATURES(dark) - FEATURES(bright))[0]
    assert changed[:64].min() == pytest.approx(0.6, abs=1e-5)
    assert changed[64:].max() < 1e-5


def test_blur_and_noise_are_far_and_another_half_is_near() -> None:
    torch.manual_seed(0)
    base = torch.nn.functional.interpolate(torch.rand(400, 3, 8, 8), (32, 32), mode="bilinear")

    def distance(pictures: torch.Tensor) -> float:
        gaussians = []
        for chosen in (base[:200], pictures):
            statistics = FeatureStatistics()
            statistics.add(FEATURES(chosen))
            gaussians.append(statistics.gaussian())
        return frechet_distance(*gaussians)

    floor = distance(base[200:])
    assert distance(torch.nn.functional.avg_pool2d(base[200:], 7, 1, 3)) > 2 * floor
    assert distance((base[200:] + 0.2 * torch.randn(200, 3, 32, 32)).clamp(0, 1)) > 2 * floor
    assert distance(base[:200]) == pytest.approx(0, abs=1e-6)


def test_what_is_refused() -> None:
    with pytest.raises(UserError, match="at least 16 x 16"):
        FEATURES(torch.zeros(1, 3, 8, 8))


def test_a_file_that_is_no_network(tmp_path: Path) -> None:
    file = tmp_path / "inception.pt"
    file.write_bytes(b"not a network")
    with pytest.raises(UserError, match="not a TorchScript file"):
        InceptionFeatures(file)

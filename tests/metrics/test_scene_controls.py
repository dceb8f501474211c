"""Controls of synthetic images: a disc that is moved, rotated and recoloured, correctly and incorrectly."""

import numpy as np
import pytest
import torch
from scipy.ndimage import center_of_mass
from scipy.stats import pearsonr

from deep3dmap.metrics.scene_controls import (
    centroids,
    colour_change,
    displacement_correlation,
    object_evidence,
    outline_agreement,
)

SIDE = 48


def disc(x: float, y: float, radius: float = 6.0) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
    return ((columns - x) ** 2 + (rows - y) ** 2 < radius**2).double()


def backdrop() -> torch.Tensor:
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.3


def painted(masks: torch.Tensor, colors: torch.Tensor) -> torch.Tensor:
    """Paint each mask (N, H, W) over the backdrop in its colour (N, 3)."""
    masks = masks[:, None]
    return backdrop() * (1 - masks) + colors[:, :, None, None] * masks


PATH = torch.stack([torch.linspace(10, 36, 7), torch.linspace(14, 30, 7)], 1).double()
DISCS = torch.stack([disc(x, y) for x, y in PATH.tolist()])
WHITE = torch.ones(7, 3, dtype=torch.float64)


def test_centroids_of_what_differs_from_the_background() -> None:
    evidence = object_evidence(painted(DISCS, WHITE), backdrop())
    found = centroids(evidence)
    expected = [np.array(center_of_mass(one.numpy()))[::-1] + 0.5 for one in evidence]
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(found, PATH, atol=0.3)
    np.testing.assert_allclose(centroids(DISCS), PATH, atol=0.15)
    assert torch.isnan(centroids(torch.zeros(1, 4, 4))).all()


def test_an_object_that_moves_as_told() -> None:
    seen = centroids(DISCS)
    assert displacement_correlation(seen, PATH) > 0.999
    # Independent of the distance moved and the starting position.
    assert displacement_correlation(0.3 * seen + 5, PATH) > 0.999
    assert displacement_correlation(seen.flip(0), PATH) < -0.999
    across = torch.stack([PATH[:, 1], -PATH[:, 0]], 1)
    assert abs(displacement_correlation(across, PATH)) < 1e-12


def test_in_one_direction_it_is_pearsons_correlation() -> None:
    rng = np.random.default_rng(0)
    seen, commanded = (np.stack([rng.normal(size=9), np.full(9, 3.0)], 1) for _ in range(2))
    assert displacement_correlation(seen, commanded) == pytest.approx(pearsonr(seen[:, 0], commanded[:, 0]).statistic)


def test_an_object_that_does_not_answer_scores_nothing() -> None:
    still = centroids(DISCS[:1].repeat(7, 1, 1))
    assert displacement_correlation(still, PATH) == 0
    lost = centroids(DISCS)
    lost[3] = torch.nan
    assert displacement_correlation(lost, PATH) == 0


def test_turning_leaves_the_background_alone() -> None:
    masks = DISCS[:1].repeat(4, 1, 1)
    colors = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]], dtype=torch.float64)
    images = painted(masks, colors)
    change = colour_change(images, masks)
    assert change.background == 0
    # Two of three channels change by one in two of three images.
    assert change.object == pytest.approx(4 / 9)
    shaken = images.clone()
    shaken[1:] += 0.05
    assert colour_change(shaken, masks).background == pytest.approx(0.05)


def test_a_margin_leaves_out_what_blurs_around_the_object() -> None:
    masks = disc(24, 24)[None].repeat(2, 1, 1)
    halo = disc(24, 24, 7.5)[None] - masks[:1]
    images = torch.zeros(2, 3, SIDE, SIDE, dtype=torch.float64)
    images[1] += halo
    assert colour_change(images, masks).background > 0
    assert colour_change(images, masks, margin=3).background == 0
    assert colour_change(images, torch.ones(2, SIDE, SIDE)).background == 0


def test_appearance_leaves_the_outline_alone() -> None:
    same = disc(20, 20)[None].repeat(3, 1, 1)
    assert outline_agreement(same) == 1
    half = torch.zeros(2, 4, 4)
    half[0, :, :2], half[1, :, 1:3] = 1, 1
    assert outline_agreement(half) == pytest.approx(4 / 12)
    assert outline_agreement(torch.stack([disc(10, 10), disc(36, 36)])) == 0


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="one for all"):
        object_evidence(torch.zeros(2, 3, 4, 4), torch.zeros(3, 3, 4, 4))
    with pytest.raises(ValueError, match="N >= 2"):
        displacement_correlation(torch.zeros(1, 2), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="masks"):
        colour_change(torch.zeros(2, 3, 4, 4), torch.zeros(2, 5, 4))
    with pytest.raises(ValueError, match="masks must be"):
        outline_agreement(torch.zeros(1, 4, 4))

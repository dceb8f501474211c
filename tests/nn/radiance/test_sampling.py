import math

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from deep3dmap.nn.radiance.encodings import SphericalHarmonics, frequency_channels, frequency_encoding
from deep3dmap.nn.radiance.sampling import even_distances, importance_distances, sample_pdf, stratified_distances
from deep3dmap.nn.radiance.volume_rendering import interval_lengths, render_rays


def test_spherical_harmonics_equal_those_of_scipy() -> None:
    directions = torch.nn.functional.normalize(torch.randn(50, 3, dtype=torch.float64), dim=1)
    polar, azimuth = np.arccos(directions[:, 2].numpy()), np.arctan2(directions[:, 1].numpy(), directions[:, 0].numpy())
    columns = []
    for degree in range(4):
        for order in range(-degree, degree + 1):
            value = sph_harm_y(degree, abs(order), polar, azimuth) * (-1) ** order
            part = value.imag if order < 0 else value.real
            columns.append(part * (math.sqrt(2) if order else 1))
    np.testing.assert_allclose(SphericalHarmonics()(directions).numpy(), np.stack(columns, 1), atol=1e-12)


def test_frequency_encoding_has_the_channels_it_promises() -> None:
    assert frequency_encoding(torch.zeros(2, 3), 5).shape == (2, frequency_channels(3, 5))


def test_stratified_distances_lie_in_their_own_parts() -> None:
    near, far = torch.tensor([1.0, 2.0]), torch.tensor([2.0, 6.0])
    drawn = stratified_distances(near, far, 16, torch.Generator().manual_seed(0))
    edges = even_distances(near, far, 17)
    assert ((drawn >= edges[:, :-1]) & (drawn <= edges[:, 1:])).all()
    torch.testing.assert_close(stratified_distances(near, far, 16), (edges[:, 1:] + edges[:, :-1]) / 2)


def test_samples_follow_their_density() -> None:
    edges = torch.tensor([[0.0, 1, 3, 4]], dtype=torch.float64)
    weights = torch.tensor([[1.0, 2, 5]], dtype=torch.float64)
    uniforms = torch.rand(1, 200_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shares = torch.histogram(sample_pdf(edges, weights, uniforms)[0], edges[0]).hist / 200_000
    torch.testing.assert_close(shares, weights[0] / 8, atol=5e-3, rtol=0)


def test_importance_distances_keep_the_coarse_ones_and_add_where_the_weight_is() -> None:
    coarse = even_distances(torch.zeros(1), torch.ones(1), 11)
    weights = torch.zeros(1, 11)
    weights[0, 6] = 1.0
    fine = importance_distances(coarse, weights, 32, torch.Generator().manual_seed(0))
    assert fine.shape == (1, 43)
    assert (fine.diff(dim=1) >= 0).all()
    assert ((fine > 0.54) & (fine < 0.66)).sum() >= 31


def test_a_uniform_medium_absorbs_by_the_law_of_beer_and_lambert() -> None:
    near, far = torch.zeros(1, dtype=torch.float64), torch.full((1,), 2.0, dtype=torch.float64)
    distances = even_distances(near, far, 65)[:, :-1]
    color = torch.full((1, 64, 3), 0.25, dtype=torch.float64)
    drawn = render_rays(torch.full((1, 64), 0.7, dtype=torch.float64), color, distances, interval_lengths(distances, far), 1.0)
    opacity = 1 - math.exp(-1.4)
    assert drawn.opacity.item() == pytest.approx(opacity)
    assert drawn.color[0].tolist() == pytest.approx([0.25 * opacity + 1 - opacity] * 3)


def test_without_an_end_the_last_sample_stops_what_is_left() -> None:
    distances = torch.tensor([[1.0, 2.0]])
    drawn = render_rays(torch.ones(1, 2), torch.ones(1, 2, 3), distances, interval_lengths(distances))
    assert drawn.opacity.item() == pytest.approx(1)


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"color \(N, S, 3\)"):
        render_rays(torch.ones(1, 2), torch.ones(1, 3, 3), torch.ones(1, 2), torch.ones(1, 2))

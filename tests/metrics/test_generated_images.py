"""Distances between feature sets: closed forms, scipy's matrix square root, brute force; streaming statistics."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from deep3dmap.core.errors import UserError
from deep3dmap.metrics.feature_statistics import FeatureSample, FeatureStatistics, Gaussian
from deep3dmap.metrics.generated_images import (
    frechet_distance,
    kernel_distance,
    polynomial_discrepancy,
    precision_recall,
)


def features(seed: int, count: int = 50, width: int = 6) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_normal((count, width)) @ random.standard_normal((width, width)) + random.standard_normal(width)


def statistics(values: np.ndarray) -> Gaussian:
    found = FeatureStatistics()
    found.add(values)
    return found.gaussian()


@pytest.mark.parametrize("sizes", [(50,), (1, 49), (20, 0, 13, 17), (1,) * 50])
def test_statistics_stream(sizes: tuple[int, ...]) -> None:
    values = features(0) + 1e3
    found, other = FeatureStatistics(), FeatureStatistics()
    start = 0
    for index, size in enumerate(sizes):
        (found if index % 2 == 0 else other).add(values[start : start + size].astype(np.float64))
        start += size
    found.merge(other)
    gaussian = found.gaussian()
    assert gaussian.samples == 50
    np.testing.assert_allclose(gaussian.mean, values.mean(0), rtol=1e-12)
    np.testing.assert_allclose(gaussian.covariance, np.cov(values, rowvar=False), rtol=1e-8, atol=1e-8)


def test_frechet_distance_against_scipy_and_closed_forms() -> None:
    for seed in range(5):
        one, two = statistics(features(seed)), statistics(features(seed + 10, 80))
        root = sqrtm(one.covariance @ two.covariance).real
        expected = ((one.mean - two.mean) ** 2).sum() + np.trace(one.covariance + two.covariance - 2 * root)
        assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-8)
        assert frechet_distance(two, one) == pytest.approx(expected, rel=1e-8)
        assert frechet_distance(one, one) == pytest.approx(0, abs=1e-8)
    one, two = (
        Gaussian(np.full(3, mean), np.diag(variances), 9) for mean, variances in ((0.0, [1.0, 4, 9]), (2.0, [4.0, 4, 0]))
    )
    assert frechet_distance(one, two) == pytest.approx(12 + (1 - 2) ** 2 + 0 + 3**2)


def test_kernel_discrepancy_against_loops() -> None:
    x, y = features(1, 7, 3), features(2, 9, 3)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 3 + 1) ** 3)

    def within(z: np.ndarray) -> float:
        pairs = [kernel(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j]
        return float(np.mean(pairs))

    between = float(np.mean([kernel(a, b) for a in x for b in y]))
    assert polynomial_discrepancy(x, y) == pytest.approx(within(x) + within(y) - 2 * between)
    whole = kernel_distance(x, y[:7], subsets=3, size=7)
    assert whole.mean == pytest.approx(polynomial_discrepancy(x, y[:7]))
    assert whole.deviation == pytest.approx(0, abs=1e-9)


def test_kernel_distance_is_unbiased() -> None:
    random = np.random.default_rng(0)
    same = [polynomial_discrepancy(*random.standard_normal((2, 20, 4))) for _ in range(400)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(400)
    values = random.standard_normal((2, 300, 4))
    assert kernel_distance(values[0], values[1] + 1, 20, 100).mean > 10 * abs(kernel_distance(*values, 20, 100).mean)


def test_precision_and_recall() -> None:
    random = np.random.default_rng(0)
    real = random.standard_normal((1500, 2))
    assert precision_recall(real, real) == (1.0, 1.0)
    far = precision_recall(real, real + 100)
    assert far == (0.0, 0.0)
    narrow = precision_recall(real, random.standard_normal((1500, 2)) * 0.1)
    assert narrow.precision > 0.9
    assert narrow.recall < 0.2
    by_hand = precision_recall(np.array([[0.0], [1], [10]]), np.array([[0.5], [4.0], [30.0]]), neighbors=1)
    # Radii of the real samples: 1, 1, 9; of the generated ones: 3.5, 3.5, 26.
    assert by_hand == (pytest.approx(2 / 3), 1.0)


def test_a_sample_is_fair_and_repeatable() -> None:
    kept = np.zeros(40)
    for seed in range(2000):
        sample = FeatureSample(10, seed)
        for start in range(0, 40, 8):
            sample.add(np.arange(start, start + 8)[:, None])
        chosen = sample.features()[:, 0].astype(int)
        assert len(set(chosen)) == 10
        kept[chosen] += 1
    np.testing.assert_allclose(kept / 2000, 0.25, atol=0.05)
    few = FeatureSample(10)
    few.add(np.eye(3))
    np.testing.assert_array_equal(few.features(), np.eye(3))


def test_what_does_not_fit() -> None:
    statistics_so_far = FeatureStatistics()
    with pytest.raises(UserError, match="two features"):
        statistics_so_far.gaussian()
    statistics_so_far.add(np.ones((3, 4)))
    bad = [
        ("features must be", lambda: statistics_so_far.add(np.ones((3, 5)))),
        ("features must be", lambda: FeatureSample(3).add(np.ones(3))),
        ("not finite", lambda: statistics_so_far.add(np.full((1, 4), np.nan))),
        ("one network", lambda: frechet_distance(statistics(features(0)), statistics(features(0, 50, 3)))),
        ("one network", lambda: kernel_distance(features(0), features(0, 9, 2))),
        ("at least 4", lambda: precision_recall(features(0)[:3], features(1))),
    ]
    for words, call in bad:
        with pytest.raises(UserError, match=words):
            call()

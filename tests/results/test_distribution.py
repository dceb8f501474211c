import numpy as np
import pytest
from scipy import stats

from deep3dmap.results.distribution import interquartile_mean, optimality_gap, performance_profile, probability_better


def test_interquartile_mean_of_hand_worked_examples():
    assert interquartile_mean([1, 2, 3, 100]) == pytest.approx(2.5)
    # The middle half of five values is three quarters of the second and fourth and all of the third.
    assert interquartile_mean([0, 1, 2, 10, 99]) == pytest.approx((0.75 * 1 + 2 + 0.75 * 10) / 2.5)
    assert interquartile_mean([7]) == 7


def test_interquartile_mean_agrees_with_scipys_trimmed_mean_where_quarters_are_whole():
    values = np.random.default_rng(0).gamma(2, 1, 40)
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25))


@pytest.mark.parametrize(("better", "shares"), [("up", [1.0, 0.75, 0.25, 0.0]), ("down", [0.0, 0.75, 0.75, 1.0])])
def test_profile_is_the_share_at_least_as_good(better, shares):
    assert performance_profile([1, 2, 2, 3], [0.5, 2, 2.5, 3.5], better).tolist() == pytest.approx(shares)


def test_gap_counts_what_falls_short_only():
    assert optimality_gap([[3.0, 5.0]], [4.0, 4.0], "down") == 0.5
    assert optimality_gap([[3.0, 5.0]], [4.0, 4.0], "up") == 0.5
    assert optimality_gap([0.2, 0.9], 1.0, "up") == pytest.approx(0.45)


def test_probability_is_mann_whitneys_statistic_on_each_scene():
    generator = np.random.default_rng(1)
    one, other = generator.random((4, 3)), generator.random((5, 3)) + 0.2
    expected = np.mean([stats.mannwhitneyu(one[:, scene], other[:, scene]).statistic / 20 for scene in range(3)])
    assert probability_better(one, other, "up") == pytest.approx(expected)
    assert probability_better(one, other, "down") == pytest.approx(1 - expected)


def test_ties_count_half_and_missing_cells_not():
    assert probability_better([[1.0, 1.0]], [[1.0, 2.0]], "down") == 0.75
    assert probability_better([[1.0], [np.nan]], [[2.0]], "down") == 1.0

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from deep3dmap.results.statistics import bootstrap_interval, paired_p_value, pareto_front, seeded_interval

VALUES = np.random.default_rng(3).gamma(2.0, 1.5, 40)


def test_interval_agrees_with_scipys_percentile_bootstrap():
    ours = bootstrap_interval(VALUES)
    theirs = stats.bootstrap((VALUES,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    width = theirs.high - theirs.low
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.06 * width)


def test_interval_is_the_same_every_time_and_moves_with_the_seed():
    assert bootstrap_interval(VALUES, seed=4) == bootstrap_interval(VALUES, seed=4)
    assert bootstrap_interval(VALUES, seed=4) != bootstrap_interval(VALUES, seed=5)


def test_wider_level_gives_a_wider_interval():
    (low, high), (lower, higher) = bootstrap_interval(VALUES, level=0.5), bootstrap_interval(VALUES, level=0.99)
    assert lower < low < VALUES.mean() < high < higher


@pytest.mark.parametrize("values", [[], [1.0]])
def test_no_interval_from_fewer_than_two_values(values):
    assert bootstrap_interval(values) is None
    assert seeded_interval([values]) is None


def test_interval_of_a_large_test_set_is_drawn_in_slices():
    values = np.random.default_rng(0).normal(5.0, 1.0, 3000)
    low, high = bootstrap_interval(values)
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(3000), rel=0.1)


def test_interval_over_seeds_has_the_variance_of_both_levels():
    # Bootstrap variance of the mean of k resampled means: var of the run means / k + mean var within / (n k).
    generator = np.random.default_rng(11)
    runs = [generator.normal(centre, 1.0, 30) for centre in (3.0, 4.0, 5.0, 6.0)]
    between = np.var([run.mean() for run in runs]) / 4
    within = np.mean([np.var(run) for run in runs]) / 30 / 4
    low, high = seeded_interval(runs)
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(between + within), rel=0.1)


def test_interval_over_seeds_that_agree_is_that_of_the_scenes():
    low, high = seeded_interval([[2.0, 2.0], [2.0, 2.0]])
    assert (low, high) == (2.0, 2.0)


def test_seeds_may_have_different_numbers_of_scenes():
    low, high = seeded_interval([[1.0, 2.0, 3.0], [2.0], []])
    assert 1.0 <= low < high <= 3.0


def test_p_value_of_a_hand_computed_example():
    # Five pairs, all differences positive: of 2^5 sign patterns two are as extreme, so p = 2 / 32.
    assert paired_p_value([2, 4, 6, 8, 11], [1, 2, 3, 4, 6]) == pytest.approx(2 / 32)


@pytest.mark.parametrize(("first", "second"), [([1, 2, 3, 4], [2, 3, 4, 5]), ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])])
def test_no_p_value_for_few_or_equal_pairs(first, second):
    assert paired_p_value(first, second) is None


def test_pairs_of_different_number_are_refused():
    with pytest.raises(ValueError, match="same shape"):
        paired_p_value([1, 2], [1, 2, 3])


@pytest.mark.parametrize(
    ("better", "expected"), [("up", [True, False, True, False, False]), ("down", [True, True, False, True, False])]
)
def test_front_of_a_hand_drawn_example(better, expected):
    quality, cost = [50, 40, 90, 30, np.nan], [1, 2, 4, 5, 0.1]
    assert pareto_front(quality, cost, better).tolist() == expected


def test_equal_entries_are_both_on_the_front():
    assert pareto_front([1, 1, 1], [2, 2, 3], "up").tolist() == [True, True, False]


def test_direction_has_to_be_named():
    with pytest.raises(ValueError, match="'up' or 'down'"):
        pareto_front([1], [1], "sideways")


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12))
def test_front_is_what_the_definition_says(points):
    def dominated(one):
        return any(q >= one[0] and c <= one[1] and (q > one[0] or c < one[1]) for q, c in points)

    quality, cost = zip(*points)
    assert pareto_front(quality, cost, "up").tolist() == [not dominated(one) for one in points]

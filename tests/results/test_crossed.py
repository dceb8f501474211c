"""Comparison with scipy in the designs it covers, with statsmodels' REML, and with examples computed by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from deep3dmap.results import crossed
from deep3dmap.results.crossed import Layout

# Two seeds on three scenes: scene means 2, 3, 7, seed means 3 and 5, mean 4, residuals 0, 1, -1 and 0, -1, 1.
HAND = np.array([[1.0, 3.0, 5.0], [3.0, 3.0, 9.0]])


def made(seed: int, seeds: int, scenes: int, scale: tuple[float, float, float] = (1.0, 0.7, 0.5)) -> np.ndarray:
    generator = np.random.default_rng(seed)
    of_scenes, of_seeds, rest = scale
    normal = generator.standard_normal
    return 5 + of_scenes * normal((1, scenes)) + of_seeds * normal((seeds, 1)) + rest * normal((seeds, scenes))


def layout(*tables: np.ndarray) -> Layout:
    return crossed.stack([crossed.fit(table[None]) for table in tables])


def only(values: np.ndarray) -> float:
    (value,) = values
    return float(value)


# -- the fit --------------------------------------------------------------------------------------------------------------


def test_mean_squares_of_an_example_worked_by_hand():
    fitted = layout(HAND)
    assert only(fitted.mean) == 4.0
    np.testing.assert_allclose(fitted.scenes, [[2.0, 3.0, 7.0]])
    # Seeds: 3 * ((3 - 4)^2 + (5 - 4)^2) / 1 = 6. Residuals: four of size 1 on 2 degrees of freedom, 2. So (6 - 2) / 3.
    assert (only(fitted.seed_square), only(fitted.error_square)) == (6.0, 2.0)
    assert only(fitted.seed_variance) == pytest.approx(4 / 3)
    # Variance of the mean: that of the scene means, 7, divided by 3, plus 4/3 divided by two seeds.
    assert only(crossed.mean(fitted).error) == pytest.approx(np.sqrt(7 / 3 + 2 / 3))


def test_variances_agree_with_statsmodels_reml():
    models = pytest.importorskip("statsmodels.regression.mixed_linear_model")
    values = made(2, 5, 12)
    seeds, scenes = np.indices(values.shape)
    parts = {"seed": "0 + C(seed)", "scene": "0 + C(scene)"}
    data = pd.DataFrame({"y": values.ravel(), "seed": seeds.ravel(), "scene": scenes.ravel(), "one": 0})
    found = models.MixedLM.from_formula("y ~ 1", data=data, groups="one", vc_formula=parts).fit(reml=True)
    by_name = dict(zip(found.model.exog_vc.names, found.vcomp))
    fitted = layout(values)
    assert only(fitted.seed_variance) == pytest.approx(by_name["seed"], rel=1e-3)
    assert only(fitted.error_square) == pytest.approx(found.scale, rel=1e-3)
    assert only(crossed.mean(fitted).error) == pytest.approx(float(found.bse["Intercept"]), rel=1e-3)


def test_missing_cells_agree_with_least_squares():
    values = made(3, 3, 7)
    values[0, 2] = values[2, 5] = values[1, 0] = np.nan
    known = np.argwhere(~np.isnan(values))
    design = np.zeros((len(known), 7 + 3))
    design[np.arange(len(known)), known[:, 1]] = 1
    design[np.arange(len(known)), 7 + known[:, 0]] = 1
    response = values[tuple(known.T)]
    effects, *_ = np.linalg.lstsq(design, response, rcond=None)
    scenes = effects[:7] + effects[7:].mean()
    fitted = layout(values)
    np.testing.assert_allclose(fitted.scenes[0], scenes)
    rest = response - design @ effects
    assert only(fitted.error_square) == pytest.approx(rest @ rest / (len(known) - 9))


def test_balance_is_the_expected_share_of_the_seeds_variance():
    generator = np.random.default_rng(4)
    holes = generator.random((4, 9)) < 0.25
    squares = []
    for _ in range(3000):
        values = np.where(holes, np.nan, 2.0 * generator.standard_normal((4, 1)) + np.zeros((4, 9)))
        squares.append(only(crossed.fit(values[None]).seed_square))
    fitted = crossed.fit(np.where(holes, np.nan, generator.standard_normal((4, 9)))[None])
    assert np.mean(squares) == pytest.approx(4.0 * only(fitted.balance), rel=0.05)


def test_a_missing_hard_scene_flatters_no_seed():
    values = np.array([[1.0, 2.0, 9.0], [1.0, 2.0, 9.0], [1.0, 2.0, np.nan]])
    assert only(layout(values).mean) == pytest.approx(4.0)


def test_a_whole_table_among_others_with_holes_is_fitted_as_alone():
    whole, holes = made(5, 3, 4), made(6, 3, 4)
    holes[1, 1] = np.nan
    both = crossed.fit(np.stack([whole, holes]))
    alone = crossed.fit(whole[None])
    for name, value in vars(alone).items():
        np.testing.assert_allclose(getattr(both, name)[:1], value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([[1.0, np.nan], [2.0, np.nan]], "has no value"),
        ([[1.0, 2.0, np.nan, np.nan], [np.nan, np.nan, 3.0, 4.0]], "cannot be separated"),
    ],
)
def test_what_cannot_be_fitted_is_refused(values, words):
    with pytest.raises(ValueError, match=words):
        crossed.fit(np.array([values]))


# -- intervals ------------------------------------------------------------------------------------------------------------


def test_one_seed_is_students_interval_over_scenes():
    values = made(7, 1, 9)
    low, high = crossed.mean(layout(values)).interval()
    expected = stats.ttest_1samp(values[0], 0).confidence_interval()
    assert (only(low), only(high)) == pytest.approx((expected.low, expected.high))


def test_one_scene_is_an_interval_over_seeds():
    values = made(8, 200, 1)
    low, high = crossed.mean(layout(values)).interval()
    expected = stats.ttest_1samp(values[:, 0], 0).confidence_interval()
    assert (only(low), only(high)) == pytest.approx((expected.low, expected.high), rel=1e-6)


def test_one_value_has_no_interval():
    low, high = crossed.mean(layout(np.array([[3.0]]))).interval()
    assert np.isnan(only(low))
    assert np.isnan(only(high))


def test_identical_seeds_are_as_good_as_one():
    """Five runs of a deterministic method are worth one; treating scenes as new for each seed would halve the interval."""
    one = made(9, 1, 8)
    single, several = (crossed.mean(layout(np.repeat(one, count, 0))).interval() for count in (1, 5))
    np.testing.assert_allclose(several, single)


def test_rounding_between_identical_seeds_changes_nothing():
    one = made(9, 1, 8)
    noisy = np.repeat(one, 5, 0) * (1 + 1e-15 * np.random.default_rng(0).standard_normal((5, 8)))
    np.testing.assert_allclose(crossed.mean(layout(noisy)).interval(), crossed.mean(layout(one)).interval(), rtol=1e-9)


def test_more_seeds_do_not_make_up_for_few_scenes():
    wide = crossed.mean(crossed.fit(made(10, 500, 4, (1.0, 0.0, 0.1))[None]))
    scenes = made(10, 500, 4, (1.0, 0.0, 0.1)).mean(0)
    assert only(wide.error) == pytest.approx(scenes.std(ddof=1) / 2, rel=0.01)


def test_seeds_that_differ_widen_the_interval():
    """If seeds dominate, the error is that of the seed means, regardless of the number of scenes."""
    values = made(11, 4, 300, (0.0, 1.0, 0.01))
    estimate = crossed.mean(layout(values))
    assert only(estimate.error) == pytest.approx(values.mean(1).std(ddof=1) / 2, rel=0.01)
    assert only(estimate.freedom) == pytest.approx(3, rel=0.01)


def test_wider_level_gives_a_wider_interval():
    estimate = crossed.mean(layout(made(12, 3, 8)))
    (low, high), (lower, higher) = estimate.interval(0.5), estimate.interval(0.99)
    assert only(lower) < only(low) < only(estimate.value) < only(high) < only(higher)


# -- differences ----------------------------------------------------------------------------------------------------------


def test_one_seed_each_is_the_paired_t_test():
    one, other = made(13, 1, 9), made(14, 1, 9) + 0.5
    estimate = crossed.difference(layout(one), layout(other))
    expected = stats.ttest_rel(one[0], other[0])
    assert only(estimate.p_value()) == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval()
    assert [only(end) for end in estimate.interval()] == pytest.approx([interval.low, interval.high])


def test_many_seeds_on_one_scene_are_welchs_test():
    one, other = made(15, 300, 1), 3 * made(16, 200, 1) - 9.7
    found = only(crossed.difference(layout(one), layout(other)).p_value())
    assert found == pytest.approx(stats.ttest_ind(one[:, 0], other[:, 0], equal_var=False).pvalue, rel=0.02)


def test_scenes_that_are_hard_for_both_do_not_count():
    generator = np.random.default_rng(17)
    hard = 100 * generator.standard_normal((1, 10))
    one, other = (hard + shift + 0.1 * generator.standard_normal((3, 10)) for shift in (0.0, 1.0))
    estimate = crossed.difference(layout(one), layout(other))
    assert only(estimate.p_value()) < 1e-4
    low, high = crossed.mean(layout(one)).interval()
    assert only(high - low) > 50


def test_seeds_that_vary_are_not_taken_for_a_difference():
    """Wilcoxon's test on means over seeds finds a significant difference (p 0.002), which the seeds explain."""
    generator = np.random.default_rng(18)
    hard = generator.standard_normal((1, 10))
    one, other = (
        hard + np.array(seeds)[:, None] + 0.01 * generator.standard_normal((3, 10)) for seeds in ([0, 1, 2], [0.5, 2, 2])
    )
    assert stats.wilcoxon(one.mean(0), other.mean(0)).pvalue < 0.01
    assert only(crossed.difference(layout(one), layout(other)).p_value()) > 0.2


def test_a_single_seed_borrows_the_variance_of_the_others():
    one, other = made(19, 1, 10), made(19, 4, 10)
    alone = crossed.difference(layout(one), layout(other[:1]))
    borrowed = crossed.difference(layout(one), layout(other))
    variance = only(layout(other).seed_variance) * (1 + 1 / 4)
    scenes = (one - other.mean(0)).std(ddof=1) ** 2 / 10
    assert only(borrowed.error) == pytest.approx(np.sqrt(scenes + variance))
    assert only(alone.error) == pytest.approx((one - other[:1]).std(ddof=1) / np.sqrt(10))


def test_the_order_of_two_entries_changes_the_sign_only():
    one, other = layout(made(20, 3, 8)), layout(made(21, 5, 8))
    there, back = crossed.difference(one, other), crossed.difference(other, one)
    np.testing.assert_allclose(there.value, -back.value)
    np.testing.assert_allclose(there.p_value(), back.p_value())


def test_equal_entries_are_not_different_and_a_constant_shift_is():
    one = layout(made(22, 1, 6))
    assert only(crossed.difference(one, one).p_value()) == 1.0
    shifted = layout(np.arange(6.0)[None] + 1)
    assert only(crossed.difference(layout(np.arange(6.0)[None]), shifted).p_value()) == 0.0


def test_smallest_gap_is_found_four_times_in_five():
    generator, found = np.random.default_rng(23), []
    gap = 0.0
    for _ in range(1500):
        values = 0.8 * generator.standard_normal((1, 1, 20))
        gap = gap or only(crossed.mean(crossed.fit(0.8 * generator.standard_normal((1, 1, 20)))).smallest_gap())
        # The gap at the true standard deviation, not at that of a single draw.
        shift = (stats.t.ppf(0.975, 19) + stats.t.ppf(0.8, 19)) * 0.8 / np.sqrt(20)
        found.append(only(crossed.mean(crossed.fit(values + shift)).p_value()) < 0.05)
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)
    assert gap == pytest.approx((stats.t.ppf(0.975, 19) + stats.t.ppf(0.8, 19)) * 0.8 / np.sqrt(20), rel=0.4)


def test_spread_is_that_of_a_difference_on_one_scene_with_one_seed_each():
    one, other = made(24, 40, 60, (1.0, 0.7, 0.5)), made(25, 40, 60, (1.0, 0.7, 0.5))
    expected = np.sqrt(1 + 1 + 2 * 0.7**2 + 2 * 0.5**2)
    assert only(crossed.spread(layout(one), layout(other))) == pytest.approx(expected, rel=0.15)


def test_a_batch_gives_what_each_gives_alone():
    tables = [made(seed, 3, 8) for seed in range(30, 36)]
    one, other = crossed.fit(np.stack(tables[:3])), crossed.fit(np.stack(tables[3:]))
    together = crossed.difference(one, other).p_value()
    alone = [only(crossed.difference(layout(a), layout(b)).p_value()) for a, b in zip(tables[:3], tables[3:])]
    np.testing.assert_allclose(together, alone)

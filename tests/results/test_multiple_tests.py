import numpy as np
import pytest
from scipy import stats

from deep3dmap.results.multiple_tests import holm, ranks


def test_an_example_worked_by_hand():
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04, made monotonic.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_it_agrees_with_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    values = np.random.default_rng(0).random(40) ** 3
    np.testing.assert_allclose(holm(values), multitest.multipletests(values, method="holm")[1])


def test_unknown_values_are_no_tests():
    assert holm([0.01, np.nan, 0.5]).tolist()[0] == pytest.approx(0.02)
    assert np.isnan(holm([0.01, np.nan])[1])
    assert holm([]).tolist() == []


def test_adjusted_values_never_exceed_one_nor_bonferroni():
    values = stats.uniform.rvs(size=50, random_state=1)
    assert (holm(values) <= np.minimum(50 * values, 1.0) + 1e-12).all()


def beaten(*pairs, count):
    table = np.zeros((count, count), bool)
    for worse, better in pairs:
        table[worse, better] = True
    return table


def test_entries_that_cannot_be_told_apart_share_a_rank():
    assert ranks([1.0, 2.0, 3.0], beaten(count=3)).tolist() == [1, 1, 1]
    assert ranks([3.0, 1.0, 2.0], beaten((0, 1), (0, 2), count=3)).tolist() == [3, 1, 1]


def test_entries_of_one_rank_cannot_be_told_apart():
    # The second is worse than the first; the third is worse only than the second, whose uncertainty is small.
    assert ranks([1.0, 2.0, 3.0], beaten((1, 0), (2, 1), count=3)).tolist() == [1, 2, 3]


def test_no_rank_is_better_than_that_of_a_better_value():
    # The last one is so uncertain that no other is significantly better.
    assert ranks([1.0, 2.0, 3.0], beaten((1, 0), count=3)).tolist() == [1, 2, 2]

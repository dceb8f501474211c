import numpy as np
import pytest

from deep3dmap.benchmarks.statistics import METHODS, RATIOS, draw, measure


@pytest.mark.parametrize(("ratio", "seeds", "scenes"), [("scenes, some seed", 3, 8), ("mostly seeds", 3, 24), ("even", 5, 8)])
def test_intervals_and_comparisons_keep_their_word(ratio, seeds, scenes):
    """A bootstrap that resamples scenes per seed covers 54 to 83 %, and Wilcoxon's test over means errs in 5 to 88 %."""
    found = measure(ratio, seeds, scenes, 1000, seed=1)
    # Three standard errors of a fraction of 1000 draws around 93 to 97, and above 6.
    assert 93 - 2.1 <= found.coverage <= 97 + 1.7
    assert found.pairs <= 6 + 2.2
    assert found.families <= 6 + 2.2


def test_draws_have_the_variances_that_they_are_named_after():
    values = draw(np.random.default_rng(0), "scenes", 4000, 3, 2)
    assert values.shape == (4000, METHODS, 3, 2)
    assert values.mean() == pytest.approx(0, abs=0.05)
    assert values.var() == pytest.approx(sum(RATIOS["scenes"]), rel=0.05)
    assert np.cov(values[:, 0, 0, 0], values[:, 1, 1, 0])[0, 1] == pytest.approx(RATIOS["scenes"][0], rel=0.1)

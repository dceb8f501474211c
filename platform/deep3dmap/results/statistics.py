"""Intervals, paired significance and Pareto fronts: pure functions on NumPy arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 5000
FEWEST_PAIRS = 5


def bootstrap_interval(values: ArrayLike, seed: int = 0, level: float = 0.95) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval of the mean of (N,) values; None for fewer than two.

    Source: Efron, Bootstrap Methods: Another Look at the Jackknife, Annals of Statistics 1979.
    """
    sample = np.asarray(values, np.float64)
    if sample.size < 2:
        return None
    return _interval(_resampled_means(sample, np.random.default_rng(seed)), level)


def seeded_interval(runs: Sequence[ArrayLike], seed: int = 0, level: float = 0.95) -> tuple[float, float] | None:
    """Return the interval of the mean of the runs' means, resampling runs and, within each drawn run, its scenes.

    runs: one (scenes,) array per training seed; lengths may differ. None where there is a single value.
    """
    samples = [np.asarray(run, np.float64) for run in runs if np.size(run)]
    if len(samples) < 2:
        return bootstrap_interval(samples[0], seed, level) if samples else None
    generator = np.random.default_rng(seed)
    # Every drawn run has its own resampled scenes, also where the same run is drawn twice.
    drawn = generator.integers(0, len(samples), (RESAMPLES, len(samples)))
    means = np.empty(drawn.shape)
    for index, sample in enumerate(samples):
        places = drawn == index
        means[places] = _resampled_means(sample, generator, int(places.sum()))
    return _interval(means.mean(axis=1), level)


def paired_p_value(first: ArrayLike, second: ArrayLike) -> float | None:
    """Return the two-sided p-value of Wilcoxon's signed-rank test on (N,) paired values, the same scene in each place.

    None for fewer than five pairs or where all pairs are equal. Raises ValueError if the lengths differ.
    Source: Wilcoxon, Individual Comparisons by Ranking Methods, Biometrics Bulletin 1945.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.shape != other.shape:
        raise ValueError(f"paired values have the same shape, got {one.shape} and {other.shape}")
    if one.size < FEWEST_PAIRS or np.array_equal(one, other):
        return None
    from scipy import stats

    return float(stats.wilcoxon(one, other).pvalue)


def pareto_front(quality: ArrayLike, cost: ArrayLike, better: str) -> NDArray[np.bool_]:
    """Return (N,) flags: nothing else is at least as good and as cheap, and better in one of the two.

    better: "up" or "down" says which way (N,) quality improves; cost is always better down. NaN is never on the front.
    """
    if better not in ("up", "down"):
        raise ValueError(f"better is 'up' or 'down', not '{better}'")
    loss = np.asarray(quality, np.float64) * (-1 if better == "up" else 1)
    price = np.asarray(cost, np.float64)
    known = ~np.isnan(loss) & ~np.isnan(price)
    # The cheapest at each loss, and the cheapest of all smaller losses: no pair is compared, for a sweep has thousands.
    levels, place = np.unique(loss[known], return_inverse=True)
    cheapest = np.full(len(levels), np.inf)
    np.minimum.at(cheapest, place, price[known])
    before = np.concatenate([[np.inf], np.minimum.accumulate(cheapest)])[place]
    flags = np.zeros(loss.shape, bool)
    flags[known] = (price[known] == cheapest[place]) & ((price[known] < before) | (place == 0))
    return flags


def _resampled_means(
    sample: NDArray[np.float64], generator: np.random.Generator, count: int = RESAMPLES
) -> NDArray[np.float64]:
    # In slices, since a paper's test set has thousands of scenes.
    rows = max(1, 4_000_000 // sample.size)
    slices = [min(rows, count - begin) for begin in range(0, count, rows)]
    means = [sample[generator.integers(0, sample.size, (size, sample.size))].mean(axis=1) for size in slices]
    return np.concatenate([np.empty(0), *means])


def _interval(means: NDArray[np.float64], level: float) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)

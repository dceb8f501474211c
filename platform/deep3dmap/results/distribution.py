"""Statistics beyond the mean: interquartile means, performance profiles, optimality gaps and probability of improvement.

Source: Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice, NeurIPS 2021.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray


def interquartile_mean(values: ArrayLike) -> float:
    """Return the mean of the middle half of (N,) values; values on its edges are weighted fractionally."""
    ordered = np.sort(np.asarray(values, np.float64))
    weights = _middle_half(len(ordered))
    return float(ordered @ weights / weights.sum())


@lru_cache
def _middle_half(count: int) -> NDArray[np.float64]:
    """Return (N,) the length of the part of each interval [i, i + 1) / N that is inside [1/4, 3/4)."""
    begin, end = np.arange(count) / count, np.arange(1, count + 1) / count
    return np.clip(np.minimum(end, 0.75) - np.maximum(begin, 0.25), 0.0, None)


def performance_profile(values: ArrayLike, thresholds: ArrayLike, better: str) -> NDArray[np.float64]:
    """Return (T,) the share of (N,) values that are at least as good as each threshold."""
    sample, limits = np.asarray(values, np.float64), np.asarray(thresholds, np.float64)
    ordered = np.sort(sample)
    if better == "up":
        return 1 - np.searchsorted(ordered, limits, "left") / len(ordered)
    return np.searchsorted(ordered, limits, "right") / len(ordered)


def optimality_gap(values: ArrayLike, target: ArrayLike, better: str) -> float:
    """Return the mean amount by which values fall short of the target; values that exceed it count as 0.

    values: (..., S). target: a number, or (S,) one per scene.
    """
    short = np.asarray(target, np.float64) - np.asarray(values, np.float64)
    return float(np.maximum(short if better == "up" else -short, 0.0).mean())


def probability_better(first: ArrayLike, second: ArrayLike, better: str) -> float:
    """Return the probability that the first entry beats the second on a scene with randomly drawn seeds; ties count as half.

    first: (K, S), second: (L, S) values of seeds on the same scenes; NaN marks a missing cell.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    sign = 1 if better == "up" else -1
    gap = sign * (one[:, None] - other[None])
    wins = (gap > 0).sum((0, 1)) + 0.5 * (gap == 0).sum((0, 1))
    pairs = (~np.isnan(gap)).sum((0, 1))
    return float((wins[pairs > 0] / pairs[pairs > 0]).mean())

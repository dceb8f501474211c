"""Rank correlation of a setting with the loss over the trials of a sweep."""

from collections.abc import Sequence

import numpy as np

FEWEST_TRIALS = 4


def rank_correlation(settings: Sequence[float], losses: Sequence[float]) -> float | None:
    """Return the absolute rank correlation between a setting and the loss over trials (Spearman 1904).

    None for fewer than four trials, or if the setting or the loss is constant.
    """
    if len(settings) < FEWEST_TRIALS or np.ptp(settings) == 0 or np.ptp(losses) == 0:
        return None
    from scipy import stats

    return abs(float(stats.spearmanr(settings, losses).statistic))

"""Significance of many comparisons at once, and the ranks that follow from it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return (N,) p-values adjusted so that the chance of any false positive among them stays below the level; NaN stays NaN.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 1979.
    """
    values = np.asarray(p_values, np.float64)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    raised = values[order] * np.arange(len(order), 0, -1)
    adjusted = np.full(values.shape, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(raised), 1.0)
    return adjusted


def ranks(losses: Sequence[float], beaten_by: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return (N,) ranks from 1 of entries with (N,) losses; beaten_by[i, j]: j is significantly better than i.

    A rank is one more than the number of significantly better entries, worse than that of each of them, and never better than
    that of an entry with a smaller loss. So entries that share a rank cannot be told apart, and those that cannot be told
    apart from the best share its rank.
    """
    found, last = np.zeros(len(losses), np.int64), 1
    for place in np.argsort(losses, kind="stable"):
        better = found[beaten_by[place]]
        last = max(last, 1 + len(better), 1 + int(better.max(initial=0)))
        found[place] = last
    return found

"""Significance under multiple comparisons, and the resulting ranks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return (N,) p-values adjusted to control the family-wise error rate; NaN is ignored and stays NaN.

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
    """Return (N,) ranks from 1 of entries with (N,) losses; beaten_by[i, j] is true if j is significantly better than i.

    An entry's rank is one more than the number of significantly better entries, larger than the rank of each of them, and at
    least the rank of any entry with a smaller loss. So entries with the same rank are not significantly different, and
    entries that are not significantly different from the best share its rank.
    """
    found, last = np.zeros(len(losses), np.int64), 1
    for place in np.argsort(losses, kind="stable"):
        better = found[beaten_by[place]]
        last = max(last, 1 + len(better), 1 + int(better.max(initial=0)))
        found[place] = last
    return found

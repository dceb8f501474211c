"""Pareto front of quality against cost."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pareto_front(quality: ArrayLike, cost: ArrayLike, better: str) -> NDArray[np.bool_]:
    """Return (N,) flags: true if no other item is at least as good in quality and cost, and better in one of them.

    quality, cost: (N,). better: "up" if higher quality values are better, else "down"; lower cost is always better. Items
    with NaN are never on the front.
    """
    if better not in ("up", "down"):
        raise ValueError(f"better is 'up' or 'down', not '{better}'")
    loss = np.asarray(quality, np.float64) * (-1 if better == "up" else 1)
    price = np.asarray(cost, np.float64)
    known = ~np.isnan(loss) & ~np.isnan(price)
    # Compare with the lowest cost at each loss and at all smaller losses rather than pairwise: a sweep has thousands of trials.
    levels, place = np.unique(loss[known], return_inverse=True)
    cheapest = np.full(len(levels), np.inf)
    np.minimum.at(cheapest, place, price[known])
    before = np.concatenate([[np.inf], np.minimum.accumulate(cheapest)])[place]
    flags = np.zeros(loss.shape, bool)
    flags[known] = (price[known] == cheapest[place]) & ((price[known] < before) | (place == 0))
    return flags

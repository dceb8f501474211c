"""The Pareto front of quality against cost."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


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

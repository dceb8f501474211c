"""Performance profiles: the share of scenes on which an entry is at least this good.

Source: Dolan and More, Mathematical Programming 2002; Agarwal et al., NeurIPS 2021.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.dashboard.charts.chart import HEIGHT, Spec, legend_columns, quantity, series
from deep3dmap.dashboard.look import SERIES

MOST = len(SERIES)
LEGEND_LINE = 24


def profile_chart(
    thresholds: Sequence[float], profiles: Sequence[tuple[str, Sequence[float]]], title: str, better: str
) -> Spec:
    """Return a chart of the (T,) shares of each of the first MOST entries over (T,) thresholds."""
    names = [name for name, _ in profiles[:MOST]]
    shares = np.array([shares for _, shares in profiles[:MOST]])
    places, shares = _trim_flat_ends(np.asarray(thresholds), shares)
    values: list[dict[str, Any]] = [
        {"name": name, "x": float(x), "share": float(share)}
        for name, own in zip(names, shares)
        for x, share in zip(places, own)
    ]
    x = quantity("x", title, scale={"reverse": better == "up"})
    y = quantity("share", "share of scenes and seeds", label=".0%", scale={"domain": [0, 1]})
    columns = legend_columns(names)
    legend = {"title": None, "orient": "top", "columns": columns, "labelLimit": 260}
    tips = [{"field": "name", "title": "method"}, {"field": "x", "title": "at least", "format": ".4~g", "type": "quantitative"}]
    tips.append({"field": "share", "title": "share", "format": ".0%", "type": "quantitative"})
    return {
        "data": {"values": values},
        "height": HEIGHT + LEGEND_LINE * -(-len(names) // columns),
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2},
        "encoding": {
            "x": x,
            "y": y,
            "color": {"field": "name", "type": "nominal", "scale": series(names), "legend": legend},
            "tooltip": tips,
        },
    }


def _trim_flat_ends(thresholds: NDArray[Any], shares: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Trim thresholds at both ends where all shares are 0 or all are 1, keeping one on each side."""
    informative = np.flatnonzero(~((shares == 0).all(0) | (shares == 1).all(0)))
    if not len(informative):
        return thresholds, shares
    kept = slice(max(informative[0] - 1, 0), informative[-1] + 2)
    return thresholds[kept], shares[:, kept]

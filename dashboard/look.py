"""Colours, numbers and words that all pages share."""

import math
from typing import Any

import pandas as pd
import streamlit as st

from deep3dmap.results.export import significant

# Okabe and Ito's palette, which readers with any kind of colour vision can tell apart.
BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#8C8C8C"
ICONS = {"ok": ":material/check_circle:", "running": ":material/autorenew:", "pending": ":material/schedule:"}
FAILED_ICON = ":material/error:"
DASH = "–"
# Tables need the width that the wide layout leaves empty.
CLOSER = "[data-testid=stMainBlockContainer] { padding: 3.5rem 3rem 3rem }"
FIRST_COMMAND = "deep3dmap benchmark suite=face tier=smoke"


def number(value: Any, digits: int = 4) -> str:
    """Return a number with four significant digits, or a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return DASH
    return significant(float(value), digits)


def integer(value: Any) -> str:
    """Return a count with separators, or a dash where there is none."""
    return DASH if value is None or pd.isna(value) else f"{int(value):,}"


def compact(value: Any) -> str:
    """Return a large count with three significant digits, such as 13.4 M."""
    if value is None or pd.isna(value):
        return DASH
    for size, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return number(value / size, 3) + name
    return f"{int(value)}"


def duration(seconds: Any, digits: int = 3) -> str:
    """Return seconds in the unit one would say them in."""
    if seconds is None or pd.isna(seconds):
        return DASH
    if seconds == 0:
        return "0 s"
    for limit, size, unit in ((1, 1e-3, "ms"), (120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h"), (math.inf, 86_400, "d")):
        if seconds < limit:
            return f"{number(seconds / size, digits)} {unit}"
    raise ValueError(f"a duration is a number of seconds, not {seconds}")


def arrow(better: str) -> str:
    """Return which way is better, in words."""
    return {"up": "higher is better", "down": "lower is better"}.get(better, "")


def with_unit(metric: str, unit: str) -> str:
    """Return a heading such as `chamfer (m)`."""
    return f"{metric} ({unit})" if unit else metric


def table_height(rows: int) -> int:
    """Return the height in pixels at which a table shows all its rows, up to twenty of them."""
    return 35 * (min(rows, 20) + 1) + 3


def text_width(column: "pd.Series[str]") -> int:
    """Return the width in pixels of a column of text; left to itself, it keeps the width of the table shown before."""
    return 24 + 6 * max(len(str(column.name)), *map(len, column))


def state_icon(state: str) -> str:
    """Return the icon of a run's status or a trial's state."""
    return ICONS.get(state, FAILED_ICON)


def nothing_yet(uri: str) -> None:
    """Say what to run when the store is empty."""
    st.header("Nothing here yet")
    st.write(f"The store `{uri}` holds no benchmark results. This makes the first ones in a few minutes:")
    st.code(f"{FIRST_COMMAND} results={uri}", language="bash")
    st.caption("Then reload this page. Runs appear as they end; the Trials page follows them while they run.")

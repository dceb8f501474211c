"""Colours, numbers and words that all pages share."""

import math
import re
from typing import Any

import pandas as pd
import streamlit as st

from deep3dmap.results.export import significant

# Okabe and Ito's palette, which readers with any kind of colour vision can tell apart.
BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#8C8C8C"
SKY, PURPLE, YELLOW, BLACK = "#56B4E9", "#CC79A7", "#B8A800", "#404040"
SERIES = [BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, BLACK]
DASH = "–"
FIRST_COMMAND = "deep3dmap benchmark suite=face tier=smoke"
LONGEST_NAME, LONGEST_UNIT = 60, 20
_TURNING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MARKDOWN = re.compile(r"([!-/:-@\[-`{-~])")


def as_text(text: Any) -> str:
    """Return Markdown that shows a text as it is: no name becomes a picture, a link or a heading."""
    return _MARKDOWN.sub(r"\\\1", one_line(text))


def in_order(text: str) -> str:
    """Return a text without the characters that turn the direction of what follows them, such as our own words."""
    return _TURNING.sub("\ufffd", text)


def one_line(text: Any, longest: int | None = None) -> str:
    """Return a text without line breaks; what is longer than `longest` has its middle left out."""
    joined = " ".join(in_order(str(text)).split())
    if longest is None or len(joined) <= longest:
        return joined
    half = (longest - 1) // 2
    return f"{joined[:half]}…{joined[-half:]}"


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


def memory(megabytes: Any) -> str:
    """Return megabytes in the unit one would say them in; a dash where nothing was measured."""
    if megabytes is None or pd.isna(megabytes) or not megabytes:
        return DASH
    return f"{number(megabytes / 1024, 3)} GB" if megabytes >= 1024 else f"{number(megabytes, 3)} MB"


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
    name = one_line(metric, LONGEST_NAME)
    return f"{name} ({one_line(unit, LONGEST_UNIT)})" if unit else name


def axis_title(metric: str, unit: str, better: str) -> str:
    """Return the title of an axis of values, such as `chamfer (m), lower is better`."""
    return ", ".join(filter(None, [with_unit(metric, unit), arrow(better)]))


def nothing_yet(uri: str) -> None:
    """Say what to run when the store is empty."""
    st.header("Nothing here yet")
    st.write(f"The store {as_text(uri)} holds no benchmark results. This makes the first ones in a few minutes:")
    st.code(f"{FIRST_COMMAND} results={uri}", language="bash")
    st.caption("Runs appear here as they end; the page Live follows them while they run.")

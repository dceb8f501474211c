"""Colours and text formatting shared by all pages."""

import math
import re
from typing import Any

import pandas as pd
import streamlit as st

from deep3dmap.results.export import significant

# Okabe and Ito's palette, which is distinguishable with any kind of colour vision.
BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#8C8C8C"
SKY, PURPLE, YELLOW, BLACK = "#56B4E9", "#CC79A7", "#B8A800", "#404040"
SERIES = [BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, BLACK]
DASH = "–"
FIRST_COMMAND = "deep3dmap benchmark suite=face tier=smoke"
LONGEST_NAME, LONGEST_UNIT = 60, 20
_DIRECTION_CONTROLS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MARKDOWN = re.compile(r"([!-/:-@\[-`{-~])")


def escape_markdown(text: Any) -> str:
    """Return Markdown that shows a text literally, so that no name becomes a picture, a link or a heading."""
    return _MARKDOWN.sub(r"\\\1", one_line(text))


def replace_direction_controls(text: str) -> str:
    """Return a text with its bidirectional control characters replaced, so that they cannot reverse the text after them."""
    return _DIRECTION_CONTROLS.sub("\ufffd", text)


def one_line(text: Any, longest: int | None = None) -> str:
    """Return a text without line breaks; if it is longer than `longest`, its middle is replaced by an ellipsis."""
    joined = " ".join(replace_direction_controls(str(text)).split())
    if longest is None or len(joined) <= longest:
        return joined
    half = (longest - 1) // 2
    return f"{joined[:half]}…{joined[-half:]}"


def number(value: Any, digits: int = 4) -> str:
    """Format a number with `digits` significant digits; a dash for a missing value."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return DASH
    return significant(float(value), digits)


def integer(value: Any) -> str:
    """Format a count with thousands separators; a dash for a missing value."""
    return DASH if value is None or pd.isna(value) else f"{int(value):,}"


def compact(value: Any) -> str:
    """Format a large count with three significant digits, such as 13.4 M; a dash for a missing value."""
    if value is None or pd.isna(value):
        return DASH
    for size, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return number(value / size, 3) + name
    return f"{int(value)}"


def memory(megabytes: Any) -> str:
    """Format megabytes in MB or GB; a dash if nothing was measured."""
    if megabytes is None or pd.isna(megabytes) or not megabytes:
        return DASH
    return f"{number(megabytes / 1024, 3)} GB" if megabytes >= 1024 else f"{number(megabytes, 3)} MB"


def duration(seconds: Any, digits: int = 3) -> str:
    """Format seconds in a suitable unit from ms to days; a dash for a missing value."""
    if seconds is None or pd.isna(seconds):
        return DASH
    if seconds == 0:
        return "0 s"
    for limit, size, unit in ((1, 1e-3, "ms"), (120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h"), (math.inf, 86_400, "d")):
        if seconds < limit:
            return f"{number(seconds / size, digits)} {unit}"
    raise ValueError(f"a duration must be a finite number of seconds, not {seconds}")


def arrow(better: str) -> str:
    """Return whether higher or lower is better, in words; "" if unknown."""
    return {"up": "higher is better", "down": "lower is better"}.get(better, "")


def with_unit(metric: str, unit: str) -> str:
    """Return a heading such as `chamfer (m)`."""
    name = one_line(metric, LONGEST_NAME)
    return f"{name} ({one_line(unit, LONGEST_UNIT)})" if unit else name


def axis_title(metric: str, unit: str, better: str) -> str:
    """Return the title of an axis of values, such as `chamfer (m), lower is better`."""
    return ", ".join(filter(None, [with_unit(metric, unit), arrow(better)]))


def show_empty_store(uri: str) -> None:
    """Show the command that produces the first results of an empty store."""
    st.header("No results yet")
    st.write(
        f"The store {escape_markdown(uri)} contains no benchmark results. "
        "This command produces the first ones in a few minutes:"
    )
    st.code(f"{FIRST_COMMAND} results={uri}", language="bash")
    st.caption("Runs appear here when they finish; the Live page shows them while they are running.")

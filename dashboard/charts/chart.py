"""Helpers shared by all charts: display, colours, scales and encodings."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from deep3dmap.dashboard.look import BLACK, BLUE, GREY, SERIES, SKY, VERMILION

Spec = dict[str, Any]
HEIGHT = 380
LABEL_SIZE = 12
# Widths in pixels: of a plot on a phone, of a character, and of the symbol next to a name in a legend.
PHONE, LETTER, SYMBOL, MOST_COLUMNS = 340, 7, 30, 3
# Colours that are hard to see on a dark background, with their replacements.
ON_DARK = {BLUE: SKY, SKY: BLUE, BLACK: "#D0D0D0"}


def show(spec: Spec, alt: str) -> None:
    """Show a chart at full width; its toolbar can save it as PNG. alt: description for screen readers."""
    st.vega_lite_chart(spec, width="stretch", alt=alt)


def is_dark() -> bool:
    """Return whether the viewer uses the dark theme."""
    return bool(st.context.theme.type == "dark")


def ink() -> str:
    """Return the colour of text next to marks."""
    return "#C8C8C8" if is_dark() else "#4A4A4A"


def blue() -> str:
    """Return the colour of methods: the lighter of two blues in the dark theme."""
    return SKY if is_dark() else BLUE


def kinds() -> Spec:
    """Return the colour scale for methods and baselines."""
    return {"domain": ["method", "baseline"], "range": [blue(), GREY]}


def series(names: Sequence[str]) -> Spec:
    """Return a colour scale for the names; names beyond the size of the palette are grey."""
    palette = [ON_DARK.get(color, color) for color in SERIES] if is_dark() else SERIES
    colors = [palette[place] if place < len(palette) else GREY for place in range(len(names))]
    return {"domain": list(names), "range": colors}


def legend_columns(names: Sequence[str]) -> int:
    """Return how many columns of a legend fit side by side on a phone."""
    widest = max(map(len, names), default=0) * LETTER + SYMBOL
    return max(1, min(MOST_COLUMNS, PHONE // widest))


def layered(values: Sequence[Mapping[str, Any]], layers: Sequence[Spec], height: int = HEIGHT, **more: Any) -> Spec:
    """Return a specification with layers that share the values."""
    return {"data": {"values": list(values)}, "layer": list(layers), "height": height, **more}


def front_line(x: Spec, y: Spec, over: str) -> Spec:
    """Return a dashed line through the values whose field `front` is true. over: name of the cost field."""
    mark = {"type": "line", "interpolate": "step-after", "color": VERMILION, "strokeDash": [5, 4], "strokeWidth": 1.5}
    order = {"field": over, "type": "quantitative"}
    return {"transform": [{"filter": "datum.front"}], "mark": mark, "encoding": {"x": x, "y": y, "order": order}}


def quantity(field: str, title: str | None, logarithmic: bool = False, label: str = ".4~g", **more: Any) -> Spec:
    """Return the encoding of a quantitative field whose axis need not include 0."""
    scale = {"type": "log", "nice": False} if logarithmic else {"zero": False}
    axis = {"format": label, "tickCount": 6, "titleLimit": 600, **more.pop("axis", {})}
    return {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {**scale, **more.pop("scale", {})},
        "axis": axis,
        **more,
    }

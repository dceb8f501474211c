"""What all charts have in common: how they are shown, saved and coloured."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from deep3dmap.dashboard.look import BLACK, BLUE, GREY, SERIES, SKY, VERMILION

Spec = dict[str, Any]
HEIGHT = 380
LABEL_SIZE = 12
# Widths in pixels: of a plot on a phone, of a letter, and of what stands beside a name in a legend.
PHONE, LETTER, SYMBOL, MOST_COLUMNS = 340, 7, 30, 3
# Colours that are hard to see on dark ground, and what stands for them there.
ON_DARK = {BLUE: SKY, SKY: BLUE, BLACK: "#D0D0D0"}


def show(spec: Spec, alt: str) -> None:
    """Show a chart as wide as its place; its toolbar saves it as PNG. alt: what it shows, for those who cannot see it."""
    st.vega_lite_chart(spec, width="stretch", alt=alt)


def is_dark() -> bool:
    """Whether the viewer's page is dark."""
    return bool(st.context.theme.type == "dark")


def ink() -> str:
    """Return the colour of text beside marks."""
    return "#C8C8C8" if is_dark() else "#4A4A4A"


def blue() -> str:
    """Return the colour of methods: the lighter of two blues on dark ground."""
    return SKY if is_dark() else BLUE


def kinds() -> Spec:
    """Return the scale that tells methods from baselines by colour."""
    return {"domain": ["method", "baseline"], "range": [blue(), GREY]}


def series(names: Sequence[str]) -> Spec:
    """Return a scale of colours for a few names; those beyond the palette are grey."""
    palette = [ON_DARK.get(color, color) for color in SERIES] if is_dark() else SERIES
    colors = [palette[place] if place < len(palette) else GREY for place in range(len(names))]
    return {"domain": list(names), "range": colors}


def legend_columns(names: Sequence[str]) -> int:
    """Return how many columns of a legend stand beside each other on a phone."""
    widest = max(map(len, names), default=0) * LETTER + SYMBOL
    return max(1, min(MOST_COLUMNS, PHONE // widest))


def layered(values: Sequence[Mapping[str, Any]], layers: Sequence[Spec], height: int = HEIGHT, **more: Any) -> Spec:
    """Return layers over the same values."""
    return {"data": {"values": list(values)}, "layer": list(layers), "height": height, **more}


def front_line(x: Spec, y: Spec, over: str) -> Spec:
    """Return the dashed line through the values whose `front` is true. over: the field of the cost."""
    mark = {"type": "line", "interpolate": "step-after", "color": VERMILION, "strokeDash": [5, 4], "strokeWidth": 1.5}
    order = {"field": over, "type": "quantitative"}
    return {"transform": [{"filter": "datum.front"}], "mark": mark, "encoding": {"x": x, "y": y, "order": order}}


def quantity(field: str, title: str | None, logarithmic: bool = False, label: str = ".4~g", **more: Any) -> Spec:
    """Return the encoding of a number, from the smallest to the largest one."""
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

"""The viewer as a component of the Streamlit app."""

from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

import streamlit as st

SCRIPTS = ("three.min.js", "geometry.js", "legend.js", "viewer.js")
STYLE = "viewer.css"


def show(data: dict[str, Any], key: str) -> None:
    """Show the data returned by `payload`. key: Streamlit key; the view is preserved while the data are unchanged."""
    _component()(data=data, key=key)


def static_file(name: str) -> str:
    """Return the text of a static file."""
    return (resources.files("deep3dmap.dashboard.viewer3d") / "static" / name).read_text(encoding="utf-8")


@cache
def _component() -> Callable[..., Any]:
    # All scripts are joined into one module, so that their definitions are visible to the last and nothing is fetched.
    script = "\n".join(static_file(name) for name in (*SCRIPTS, "component.js"))
    return st.components.v2.component("deep3dmap_viewer3d", css=static_file(STYLE), js=script)

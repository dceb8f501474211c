"""The application for `streamlit run`, which starts reading the store before the first visitor arrives."""

import gc
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st

from deep3dmap.dashboard import reading


@asynccontextmanager
async def _reading(_: Any) -> AsyncGenerator[dict[str, Any]]:
    threading.Thread(target=read, daemon=True).start()
    yield {}


def read() -> None:
    """Read the store, then turn on garbage collection, which is off during start-up."""
    try:
        reading.read_ahead()
    finally:
        # Exclude existing objects, which live as long as the server, from future collections.
        gc.freeze()
        gc.enable()


app = st.App(Path(__file__).with_name("app.py"), lifespan=_reading)

"""What `streamlit run` serves: the app, over a store that is read before the first visitor comes."""

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
    """Read the store; from then on garbage is collected, which it is not while everything is imported."""
    try:
        reading.read_ahead()
    finally:
        # What is there now stays for good, so that nobody looks through it again.
        gc.freeze()
        gc.enable()


app = st.App(Path(__file__).with_name("app.py"), lifespan=_reading)

"""What `streamlit run` serves: the app, over a store that is read before the first visitor comes."""

import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st

from deep3dmap.dashboard import reading


@asynccontextmanager
async def _reading(_: Any) -> AsyncGenerator[dict[str, Any]]:
    threading.Thread(target=reading.read_ahead, daemon=True).start()
    yield {}


app = st.App(Path(__file__).with_name("app.py"), lifespan=_reading)

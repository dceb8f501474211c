"""Downloads of the rows of a page as files."""

import io
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import streamlit as st

from deep3dmap.results.board_row import LeaderboardRow
from deep3dmap.results.export import to_csv, to_json, to_latex


def downloads(rows: Sequence[LeaderboardRow], name: str) -> None:
    """Show a button for each file format. name: file name without the extension."""
    with st.container(horizontal=True, gap="small"):
        for label, ending, mime, write in (
            ("CSV", "csv", "text/csv", to_csv),
            ("Parquet", "parquet", "application/vnd.apache.parquet", to_parquet),
            ("JSON", "json", "application/json", to_json),
            ("LaTeX", "tex", "text/plain", to_latex),
        ):
            # With a function as data, the file is generated only when the button is pressed.
            st.download_button(label, partial(write, rows), f"{name}.{ending}", mime, on_click="ignore")


def to_parquet(rows: Sequence[LeaderboardRow]) -> bytes:
    """Return the rows as a Parquet file with the same columns as in CSV."""
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows]), stream)
    return stream.getvalue()

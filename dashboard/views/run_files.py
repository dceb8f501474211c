"""The artifacts of a run: its pictures, shown one at a time, and a list of its files."""

from typing import Literal

import pandas as pd
import streamlit as st

from deep3dmap.core.errors import UserError
from deep3dmap.dashboard import markup, reading
from deep3dmap.dashboard.look import escape_markdown, integer, one_line
from deep3dmap.dashboard.markup import Column

FILES_SHOWN = 200
SHEETS = ("sheet", "overview", "views", "samples", "turntable", "frames", "shape")


def pictures(attempt: pd.DataFrame) -> None:
    """Show the section with pictures, starting with the contact sheet of a scene."""
    found = reading.pictures_of(attempt)
    if not found:
        return
    markup.show(markup.section("Pictures"))
    scenes = list(found)
    scene = st.selectbox("Scene", scenes, key="scene", format_func=lambda name: one_line(name) or "whole run")
    names = sorted(found.get(str(scene), ()), key=sheets_first)
    labels = {name: one_line(name.rpartition("/")[2].removesuffix(".png").replace("_", " "), 40) for name in names}
    picked: str | None = names[0]
    if len(names) > 1:
        picked = st.segmented_control(
            "Picture", names, default=names[0], format_func=labels.__getitem__, key=f"picture {scene}"
        )
    picture(picked or names[0])


def sheets_first(name: str) -> tuple[int, str]:
    """Return a sort key that puts pictures of a whole scene, such as contact sheets, before details."""
    stem = name.rpartition("/")[2]
    return next((place for place, word in enumerate(SHEETS) if word in stem), len(SHEETS)), name


def picture(name: str, width: Literal["content", "stretch"] = "content") -> None:
    """Show a picture from the store; a warning if it is damaged. width: "content" for its natural size, "stretch" to fill."""
    try:
        st.image(reading.picture(reading.store_uri(), name), width=width)
    except (UserError, OSError, ValueError) as error:
        st.warning(escape_markdown(f"{name} cannot be shown: {error}"), icon=":material/broken_image:")


def files(attempt: pd.DataFrame) -> None:
    """Show the section with all artifacts, their sizes, and a download."""
    run = attempt.iloc[0]
    store = reading.open_store()
    folder = store.artifacts_name(str(run.run_id), int(run.attempt))
    names = store.storage.names(folder, "", recursive=True)
    if not names:
        return
    with st.expander(f"Files ({len(names)})"):
        place = store.storage.filesystem.get_file_info([store.storage.path(f"{folder}/{name}") for name in names[:FILES_SHOWN]])
        lines = [[markup.text(name), f"{integer(max(info.size // 1024, 1))} kB"] for name, info in zip(names, place)]
        markup.show(markup.table([Column("file", "name"), Column("size", "number")], lines, name="files"))
        if len(names) > FILES_SHOWN:
            st.caption(f"and {len(names) - FILES_SHOWN} more")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            chosen = st.selectbox("Save", names, key="file", format_func=one_line)
            st.download_button(
                "Save", lambda: store.storage.read(f"{folder}/{chosen}"), chosen.rpartition("/")[2], on_click="ignore"
            )

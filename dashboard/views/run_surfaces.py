"""The surfaces of a run in 3D, scene by scene."""

from html import escape

import pandas as pd
import streamlit as st

from deep3dmap.core.errors import UserError
from deep3dmap.dashboard import reading, scene_cards, viewer3d
from deep3dmap.dashboard.look import one_line
from deep3dmap.dashboard.viewer3d.scene_panels import scenes_to_choose
from deep3dmap.results.kept_scenes import kept_scenes
from deep3dmap.results.store import ResultStore


def surfaces(attempt: pd.DataFrame) -> None:
    """Show the section for one attempt, given as a frame with its one row; nothing where it kept no surface."""
    run = attempt.iloc[0]
    scenes = [scene for scene in reading.metrics_of(attempt).scene.unique() if scene]
    kept = kept_scenes(ResultStore(reading.store_uri()), str(run.run_id), int(run.attempt), scenes)
    there = scenes_to_choose(kept)
    if not there:
        return
    st.html(scene_cards.heading("In 3D"))
    scene = str(st.selectbox("Surface of scene", there, key=f"surface {run.run_id}", format_func=one_line))
    try:
        data = viewer3d.scene_payload({one_line(f"{run.method}/{run.variant}"): kept[scene]})
    except UserError as error:
        st.html(f"<p>{escape(str(error))}</p>")
        return
    if data:
        viewer3d.show(data, key="run in 3D")

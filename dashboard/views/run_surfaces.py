"""The surfaces of a run in 3D, scene by scene."""

import pandas as pd
import streamlit as st

from deep3dmap.dashboard import markup, reading
from deep3dmap.dashboard.look import one_line
from deep3dmap.dashboard.viewer3d.scene_panels import scenes_to_choose
from deep3dmap.dashboard.views.in_3d import show_in_3d
from deep3dmap.results.kept_scenes import find_saved_scenes


def surfaces(attempt: pd.DataFrame) -> None:
    """Show the section for one attempt, given as a frame with a single row; nothing if it saved no surface."""
    run = attempt.iloc[0]
    scenes = [scene for scene in reading.metrics_of(attempt).scene.unique() if scene]
    kept = find_saved_scenes(reading.open_store(), str(run.run_id), int(run.attempt), scenes)
    available = scenes_to_choose(kept)
    if not available:
        return
    markup.show(markup.section("In 3D"))
    scene = str(st.selectbox("Surface of scene", available, key=f"surface {run.run_id}", format_func=one_line))
    show_in_3d({f"{run.method}/{run.variant}": kept[scene]}, "run in 3D")

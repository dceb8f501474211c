"""The gallery page: input, prediction, ground truth and error, scene by scene."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from deep3dmap.dashboard import markup, reading, scene_cards
from deep3dmap.dashboard.look import number, one_line, show_empty_store
from deep3dmap.dashboard.verdicts import ordered_scenes, unit_suffix
from deep3dmap.dashboard.views.filters import URL, select
from deep3dmap.dashboard.views.in_3d import show_in_3d
from deep3dmap.dashboard.views.scene_choice import SceneChoice, choose
from deep3dmap.results.kept_scenes import SavedScene

ORDERS = {"best": "Best", "worst": "Worst", "disputed": "Most disputed"}
SHOWN = 6
NOTHING_SAVED = "No pictures were saved for this scene; a run saves pictures only for its first scenes."
MESH_SAVED = "A run saves pictures only for its first scenes; the mesh of this scene is shown below."


def show() -> None:
    """Show the page."""
    choice = choose()
    if choice is None:
        show_empty_store(reading.store_uri())
        return
    board = choice.board
    with st.sidebar:
        name = select("Method", "method", choice.names)
    place = choice.names.index(name)
    markup.show(f"<style>{scene_cards.STYLE}</style>", markup.heading("Gallery", markup.text(choice.where)))
    order = st.segmented_control("Scenes", list(ORDERS), default="best", format_func=ORDERS.__getitem__, key="order") or "best"
    others = [other for other in board.compared if other != place]
    scenes = [] if board.scenes in ([], [""]) else ordered_scenes(board, [place, *others], order)
    kept = choice.scenes_of(place)
    if not scenes:
        st.info(_explain_empty(choice, order), icon=":material/image_not_supported:")
    for scene in scenes[:SHOWN]:
        _card(choice, place, [place, *others], scene, kept.get(board.scenes[scene]))
    if any(own.tiles for own in kept.values()):
        st.html(scene_cards.error_note())
    if len(scenes) > SHOWN:
        st.caption(f"Showing {SHOWN} of {len(scenes)} scenes.")
    _in_3d([board.scenes[scene] for scene in scenes] or list(kept), kept, name)


def _explain_empty(choice: SceneChoice, order: str) -> str:
    if order == "disputed":
        return "Only scenes with values from at least two methods can be ordered by disagreement; there are none."
    return "This method has no values for single scenes under this metric."


def _card(choice: SceneChoice, place: int, places: Sequence[int], scene: int, kept: SavedScene | None) -> None:
    board = choice.board
    value = board.per_scene[place, scene]
    row = board.rows[place]
    text = f"{one_line(board.metric)} {number(value)}{unit_suffix(row.unit)}"
    note = ""
    own = board.per_scene[list(places), scene]
    own = own[np.isfinite(own)]
    if len(own) > 1:
        note = f"{len(own)} methods: {number(own.min())} to {number(own.max())}"
    st.html(scene_cards.card(one_line(board.scenes[scene]), text, note, _content(kept)))


def _content(kept: SavedScene | None) -> str:
    if kept is None:
        return f"<p class=scene-note>{NOTHING_SAVED}</p>"
    if kept.tiles:
        return scene_cards.tiles(kept)
    if kept.pictures:
        return scene_cards.sheet(kept)
    return f"<p class=scene-note>{MESH_SAVED if kept.has_mesh else NOTHING_SAVED}</p>"


def _in_3d(scenes: Sequence[str], kept: dict[str, SavedScene], name: str) -> None:
    available = [scene for scene in scenes if scene in kept and kept[scene].has_surface]
    if not available:
        return
    markup.show(markup.section("In 3D"))
    scene = str(st.selectbox("Scene", available, key="scene", bind=URL, format_func=one_line))
    show_in_3d({name: kept[scene]}, "gallery in 3D")

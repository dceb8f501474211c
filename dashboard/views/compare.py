"""The compare page: two to four entries compared scene by scene, in words, pictures and 3D."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import streamlit as st

from deep3dmap.dashboard import markup, reading, scene_cards
from deep3dmap.dashboard.charts import chart
from deep3dmap.dashboard.charts.differences import difference_chart
from deep3dmap.dashboard.look import arrow, number, one_line, show_empty_store, with_unit
from deep3dmap.dashboard.verdicts import best_index, ordered_scenes, spread, verdict
from deep3dmap.dashboard.views.filters import URL
from deep3dmap.dashboard.views.in_3d import show_in_3d
from deep3dmap.dashboard.views.scene_choice import SceneChoice, choose
from deep3dmap.results.board import Board
from deep3dmap.results.kept_scenes import SavedScene

FEWEST, MOST = 2, 4
SCENES_CHARTED, SCENES_LISTED = 40, 8


def show() -> None:
    """Show the page."""
    choice = choose()
    if choice is None:
        show_empty_store(reading.store_uri())
        return
    markup.show(
        f"<style>{scene_cards.STYLE}</style>",
        markup.heading("Compare", markup.text(choice.where), _describe_metric(choice.board)),
    )
    places = _select_entries(choice)
    if len(places) < FEWEST:
        message = (
            "Choose two to four methods to compare."
            if len(choice.names) > 1
            else "This table contains only one method, so there is nothing to compare it with."
        )
        st.info(message, icon=":material/compare_arrows:")
        return
    _verdicts(choice.board, places)
    _scenes(choice, places)
    _one_scene(choice, places)


def _describe_metric(board: Board) -> str:
    if not board.metric:
        return ""
    description = "; ".join(filter(None, [str(board.card.get("meaning", "")), arrow(board.rows[0].better)]))
    return f"<b>{markup.text(with_unit(board.metric, board.rows[0].unit))}</b>: {markup.text(description)}"


def _select_entries(choice: SceneChoice) -> list[int]:
    with_values = [name for name, values in zip(choice.names, choice.board.per_scene) if np.isfinite(values).any()]
    names = st.multiselect(
        "Methods (the first is compared with the others)",
        choice.names,
        default=(with_values or choice.names)[:FEWEST],
        max_selections=MOST,
        key="compare",
        bind=URL,
        format_func=one_line,
    )
    return [choice.names.index(name) for name in names]


def _verdicts(board: Board, places: Sequence[int]) -> None:
    found = [verdict(board, places[0], other) for other in places[1:]]
    st.html("".join(scene_cards.verdict_box(one.kind, one.words, one.details) for one in found))


def _scenes(choice: SceneChoice, places: list[int]) -> None:
    board = choice.board
    if not board.scenes or board.scenes == [""]:
        st.caption("This metric has one value per run, so there is no comparison by scene.")
        return
    order = ordered_scenes(board, places, "disputed")
    if not order:
        st.caption("No scene has values from at least two of these methods.")
        return
    # There is only room for the columns of two entries next to the chart.
    left, right = st.columns([3, 2], gap="large") if len(places) == FEWEST else (st.container(), st.container())
    with left:
        markup.show(markup.section("Difference on each scene"))
        values = differences(choice, places, order[:SCENES_CHARTED])
        title = with_unit(board.metric, board.rows[0].unit)
        chart.show(difference_chart(values, title, board.rows[0].better), "difference on each scene")
        shown = f"the {SCENES_CHARTED} of {len(order)} scenes that differ most" if len(order) > SCENES_CHARTED else "all scenes"
        st.caption(f"Showing {shown}; values are means over seeds.")
    with right:
        markup.show(markup.section("Where they differ most"))
        st.html(_difference_table(choice, places, order[:SCENES_LISTED]))


def differences(choice: SceneChoice, places: Sequence[int], scenes: Sequence[int]) -> list[dict[str, Any]]:
    """Return one record per scene and entry other than the first, where both have a value; see `difference_chart`."""
    board = choice.board
    found: list[dict[str, Any]] = [
        {
            "scene": one_line(board.scenes[scene]),
            "entry": one_line(choice.names[place]),
            "difference": float(board.per_scene[places[0], scene] - board.per_scene[place, scene]),
            "first": float(board.per_scene[places[0], scene]),
            "value": float(board.per_scene[place, scene]),
        }
        for scene in scenes
        for place in places[1:]
    ]
    return [one for one in found if np.isfinite(one["difference"])]


def _difference_table(choice: SceneChoice, places: list[int], scenes: Sequence[int]) -> str:
    board = choice.board
    ranges = spread(board, places)
    rows, best = [], []
    for scene in scenes:
        values = board.per_scene[places, scene]
        rows.append([one_line(board.scenes[scene]), *map(number, values), number(ranges[scene], 3)])
        place = best_index(values, board.rows[0].better)
        best.append(None if place is None else 1 + place)
    return scene_cards.table(["scene", *(choice.names[place] for place in places), "range"], rows, best)


def _one_scene(choice: SceneChoice, places: list[int]) -> None:
    kept = {choice.names[place]: choice.scenes_of(place) for place in places}
    ordered = [choice.board.scenes[scene] for scene in ordered_scenes(choice.board, places, "disputed")]
    available = [
        scene for scene in dict.fromkeys([*ordered, *choice.board.scenes]) if any(scene in own for own in kept.values())
    ]
    if not available:
        st.caption("The runs of these methods saved no pictures or surfaces.")
        return
    markup.show(markup.section("One scene"))
    scene = str(st.selectbox("Scene (largest difference first)", available, key="scene", bind=URL, format_func=one_line))
    own = {title: found[scene] for title, found in kept.items() if scene in found}
    pictures = scene_cards.tiles_of_entries(own)
    if pictures:
        st.html(pictures)
    _in_3d(own)
    _sheets(own)


def _in_3d(own: dict[str, SavedScene]) -> None:
    data = show_in_3d(own, "compare in 3D")
    if data is None:
        return
    absent = [one_line(title) for title in own if one_line(title) not in {mesh["title"] for mesh in data["meshes"]}]
    if absent:
        names = escape(", ".join(absent))
        st.html(f"<p class=scene-note>Not shown in 3D because no simplified surface was saved: {names}.</p>")
    st.caption(
        "Drag to rotate; scroll or pinch to zoom; drag with the right button or two fingers to pan. All panels move together."
    )


def _sheets(own: dict[str, SavedScene]) -> None:
    names = list(dict.fromkeys(name for kept in own.values() for name in kept.pictures))
    if not names:
        return
    with st.expander("The suite's own pictures", expanded=not any(kept.tiles for kept in own.values())):
        name = str(st.selectbox("Picture", names, key="compare picture"))
        for title, kept in own.items():
            if name in kept.pictures:
                st.html(f"<b>{escape(one_line(title))}</b>")
                st.image(kept.read(name))

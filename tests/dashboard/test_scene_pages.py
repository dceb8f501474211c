"""The compare and gallery pages of the app."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
from kept_stores import HOSTILE, build_hostile_store, build_kept_store
from pages import html, page
from stores import ENTRANTS, build_store, metric_rows, run_row

from deep3dmap.core import Mesh, Reconstruction
from deep3dmap.dashboard.scene_cards import sheet, table, tile, tiles_of_entries
from deep3dmap.dashboard.viewer3d import scene_payload
from deep3dmap.dashboard.viewer3d.scene_panels import _payload
from deep3dmap.results.kept_scenes import SavedScene, find_saved_scenes
from deep3dmap.results.leaderboard import boards
from deep3dmap.results.store import ResultStore

VIEWS, SURFACES = (
    tuple(f"preview/{kind}_{part}.jpg" for part in ("prediction", "truth", "error")) for kind in ("view", "surface")
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return build_kept_store(tmp_path_factory.mktemp("kept"))


def viewers(app):
    return app.get("bidi_component")


def test_compare_says_the_verdict_shows_pictures_and_one_viewer(store, monkeypatch):
    app = page("compare", store.uri, monkeypatch, suite="face", metric="nme_68_2d")
    shown = html(app)
    assert "prnet/wide" in shown
    assert "are not significantly different" in shown or "is better than" in shown
    assert shown.count("<figure>") == 2 + 2 * 2
    assert len(viewers(app)) == 1
    headings = re.findall("<h2[^>]*>([^<]*)<", shown)
    assert headings == ["Difference on each scene", "Where they differ most", "One scene"]


def test_compare_draws_the_differences_that_the_board_has(store, monkeypatch):
    chosen = ["prnet/mini", "mean_face/default"]
    (drawn,) = page("compare", store.uri, monkeypatch, suite="face", metric="nme_68_2d", compare=chosen).get("vega_lite_chart")
    values = pa.ipc.open_stream(drawn.proto.data.data).read_pandas()
    (board,) = boards(store, suite="face", metric="nme_68_2d")
    first, other = (board.per_scene[[row.variant for row in board.rows].index(name)] for name in ("mini", "default"))
    found = dict(zip(values.scene, values.difference))
    assert found == pytest.approx(dict(zip(board.scenes, first - other)))
    spec = json.loads(drawn.proto.spec)
    assert spec["layer"][-1]["encoding"]["x"]["title"][1] == "left of 0: first method is better"


def test_compare_takes_up_to_four_methods_from_the_url(store, monkeypatch):
    app = page("compare", store.uri, monkeypatch, suite="face", compare=["prnet/mini", "mean_face/default", "prnet/wide"])
    assert app.multiselect[0].value == ["prnet/mini", "mean_face/default", "prnet/wide"]
    assert html(app).count("class=scene-verdict") + html(app).count('class="scene-verdict') == 2


def test_compare_asks_for_a_second_method(store, monkeypatch):
    app = page("compare", store.uri, monkeypatch, suite="face", compare=["prnet/mini"])
    assert app.info[0].value == "Choose two to four methods to compare."


def test_table_with_one_method_says_so(tmp_path, monkeypatch):
    store = ResultStore(str(tmp_path))
    row = run_row(ENTRANTS[0], 0)
    store.write_attempt(row, metric_rows(row, ENTRANTS[0], 2), [])
    assert "only one method" in page("compare", store.uri, monkeypatch).info[0].value


def test_pictures_of_one_kind_are_as_large_as_those_of_the_other(tmp_path):
    one, other = (
        SavedScene(ResultStore(str(tmp_path)), name, names) for name, names in (("a", VIEWS + SURFACES), ("b", VIEWS))
    )
    shown = tiles_of_entries({"a": one, "b": other}, lambda kept, name: name)
    first, second = shown.split("<div class=scene-tiles>")[1:]
    assert first.count("<section>") == second.count("<section>") == 3
    assert re.findall("<figcaption>([^<]*)<", first).count("view, prediction") == 2
    assert "surface, error" in second


def test_picture_of_a_suite_keeps_its_shape(tmp_path):
    kept = SavedScene(ResultStore(str(tmp_path)), "a", ("turntable.png", "sheet.png"))
    shown = sheet(kept, lambda own, name: name)
    assert "scene-sheet" in shown
    assert "<figcaption>sheet<" in shown


def test_metric_of_whole_runs_has_no_scenes(store, monkeypatch):
    app = page("compare", store.uri, monkeypatch, suite="face", metric="nme_68_2d_mean_of_bins")
    assert any("has one value per run" in caption.value for caption in app.caption)
    assert not viewers(app)


def test_suite_whose_runs_kept_pictures_alone_has_no_viewer(store, monkeypatch):
    app = page("compare", store.uri, monkeypatch, suite="indoor")
    assert not viewers(app)
    assert app.expander[0].label == "The suite's own pictures"


def test_gallery_orders_scenes_and_shows_four_pictures_of_each(store, monkeypatch):
    app = page("gallery", store.uri, monkeypatch, suite="face", metric="nme_68_2d")
    cards = re.findall(r"<article.*?</article>", html(app), re.S)
    assert len(cards) == 4
    values = [float(re.search(r"nme_68_2d ([\d.]+)", card)[1]) for card in cards]
    assert values == sorted(values)
    of_kept = [card for card in cards if "scene_<wbr>00" in card or "scene_<wbr>01" in card]
    assert [re.findall(r"<figcaption>(.*?)<", card) for card in of_kept] == [["input", "prediction", "truth", "error"]] * 2
    assert all("No pictures were saved" in card for card in cards if card not in of_kept)
    assert len(viewers(app)) == 1
    app.button_group[0].set_value("worst").run()
    worst = [float(value) for value in re.findall(r"nme_68_2d ([\d.]+)", html(app))]
    assert worst == sorted(values, reverse=True)


@pytest.mark.parametrize("name", ["compare", "gallery"])
def test_names_that_are_markup_stay_text(name, tmp_path, monkeypatch):
    store = build_hostile_store(tmp_path)
    app = page(name, store.uri, monkeypatch)
    shown = html(app)
    assert "<img src=x" not in shown
    assert "&lt;img src=x onerror" in shown
    assert all(source.startswith("data:image/") for source in re.findall(r'<img src="([^"]*)"', shown))
    told = [element.value for kind in (app.markdown, app.caption, app.info, app.subheader) for element in kind]
    assert not any("example.org" in text for text in told)
    assert len(viewers(app)) == 1


@pytest.mark.parametrize("name", ["prediction.ply", "about.json"])
@pytest.mark.parametrize("view", ["compare", "gallery"])
def test_damaged_surface_is_named_and_the_rest_is_shown(name, view, tmp_path, monkeypatch):
    store = build_kept_store(tmp_path, seeds=1, scenes=2)
    for file in tmp_path.rglob(f"preview/{name}"):
        file.write_bytes(file.read_bytes()[:20])
    shown = html(page(view, store.uri, monkeypatch, suite="face"))
    assert name in shown
    assert "<figure>" in shown


def test_run_page_shows_its_surfaces(store, monkeypatch):
    runs = store.runs()
    run = runs[(runs.method == "prnet") & (runs.status == "ok")].iloc[0]
    app = page("run", store.uri, monkeypatch, run_id=run.run_id)
    assert ">In 3D</h2>" in html(app)
    assert len(viewers(app)) == 1


def test_run_page_builds_the_data_of_a_surface_once(store, monkeypatch):
    runs = store.runs()
    run = runs[(runs.method == "prnet") & (runs.status == "ok")].iloc[0]
    page("run", store.uri, monkeypatch, run_id=run.run_id)
    before = _payload.cache_info()
    page("run", store.uri, monkeypatch, run_id=run.run_id)
    after = _payload.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)


def test_run_that_kept_no_surface_has_no_viewer(tmp_path, monkeypatch):
    app = page("run", build_store(tmp_path, seeds=1, scenes=2).uri, monkeypatch)
    assert not viewers(app)


def test_pieces_of_pages_escape_what_they_are_given():
    assert "<img src=x" not in tile(HOSTILE, HOSTILE) + table([HOSTILE], [[HOSTILE, HOSTILE]], [1])


def kept_mesh(folder, frame):
    """A scene for which a run saved only its mesh, as older versions did."""
    store = build_store(folder, seeds=1, scenes=2)
    run = store.runs().iloc[0]
    place = Path(store.artifacts_path(run.run_id, run.attempt), "scene_01")
    Reconstruction(frame, "pixel", mesh=Mesh([[0, 0, 0], [1, 0, 0], [0, 5, 2]], [[0, 1, 2]])).save(place)
    return find_saved_scenes(store, run.run_id, run.attempt, ["scene_01"])["scene_01"]


@pytest.mark.parametrize(("frame", "highest"), [("image", 0.0), ("world", 5.0)])
def test_scene_without_small_surfaces_is_shown_by_its_mesh_upright(frame, highest, tmp_path):
    data = scene_payload({"a": kept_mesh(tmp_path, frame)})
    assert data["box"]["low"][1] + data["box"]["size"] == pytest.approx(highest, abs=1e-6)
    assert data["error"] is None


def test_entry_without_a_small_surface_beside_others_is_named(tmp_path, monkeypatch):
    store = build_kept_store(tmp_path, seeds=1, scenes=2)
    runs = store.runs()
    for run in runs[runs.method == "mean_face"].itertuples():
        for file in Path(store.artifacts_path(run.run_id, run.attempt)).rglob("about.json"):
            file.unlink()
    app = page("compare", store.uri, monkeypatch, suite="face", compare=["prnet/mini", "mean_face/default"])
    assert "Not shown in 3D because no simplified surface was saved: mean_face/default." in html(app)

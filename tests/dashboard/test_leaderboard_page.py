import io
import json
from dataclasses import replace

import pandas as pd
import pyarrow.parquet as pq
import pytest
from pages import APP, clean, html, page, table, words
from stores import ENTRANTS, build_store, metric_rows, run_row
from streamlit.testing.v1 import AppTest

from deep3dmap.dashboard.look import number
from deep3dmap.dashboard.reading import RESULTS_VARIABLE
from deep3dmap.dashboard.views.board_figures import cost_points
from deep3dmap.dashboard.views.board_table import entry_names
from deep3dmap.dashboard.views.downloads import to_parquet
from deep3dmap.results.leaderboard import leaderboard
from deep3dmap.results.schema import MetricRow
from deep3dmap.results.store import ResultStore

VALUE = "nme_68_2d (% of sqrt(w h))"


def names(app):
    return [line["method"].split(" | ")[0] for line in table(app, "leaderboard")]


def test_app_opens_without_a_complaint(store, monkeypatch):
    monkeypatch.setenv(RESULTS_VARIABLE, store.uri)
    app = clean(AppTest.from_file(APP, default_timeout=60).run())
    assert not app.warning
    assert not app.error
    assert "prnet/wide" in words(app)


def test_table_holds_the_numbers_of_the_leaderboard(store, monkeypatch):
    app = page("leaderboard", store.uri, monkeypatch, suite="face")
    rows, lines = leaderboard(store, suite="face"), table(app, "leaderboard")
    assert [line[VALUE] for line in lines] == [number(row.value) for row in rows]
    assert [line["#"] for line in lines] == ["–" if row.rank is None else str(row.rank) for row in rows]
    assert names(app) == ["prnet/wide", "prnet/mini", "mean_face/default", "broken_net/default"]
    assert lines[0]["95 % interval"] == f"{number(rows[0].low)} – {number(rows[0].high)}"


def test_numbers_of_the_next_suite_are_not_cut(store, monkeypatch):
    app = page("leaderboard", store.uri, monkeypatch, suite="face")
    app.selectbox(key="suite").select("indoor").run()
    rows = leaderboard(store, suite="indoor")
    assert [line["95 % interval"] for line in table(clean(app), "leaderboard")] == [
        f"{number(row.low)} – {number(row.high)}" for row in rows
    ]


def test_only_the_first_rank_is_bold(store, monkeypatch):
    shown = html(page("leaderboard", store.uri, monkeypatch, suite="face"))
    assert shown.count('<tr class="best') == sum(row.rank == 1 for row in leaderboard(store, suite="face"))


def test_newest_group_comes_first_and_the_url_decides(store, monkeypatch):
    app = page("leaderboard", store.uri, monkeypatch)
    newest = store.runs().iloc[0].suite
    assert app.selectbox(key="suite").value == newest
    other = "indoor" if newest == "face" else "face"
    app = page("leaderboard", store.uri, monkeypatch, suite=other)
    assert app.selectbox(key="suite").value == other


def test_choices_come_from_the_url(store, monkeypatch):
    again = page("leaderboard", store.uri, monkeypatch, suite="indoor", metric="chamfer")
    values = [float(line["chamfer (m)"]) for line in table(again, "leaderboard")]
    assert values == pytest.approx([0.021, 0.42], rel=0.05)


def test_a_row_leads_to_its_runs(store, monkeypatch):
    shown = html(page("leaderboard", store.uri, monkeypatch, suite="face"))
    for row in leaderboard(store, suite="face"):
        runs = store.runs()
        assert set(row.run_ids) <= set(runs[(runs.method == row.method) & (runs.variant == row.variant)].run_id)
        assert f'href="run?run_id={row.run_ids[0]}"' in shown


def test_methods_are_searched_by_words(store, monkeypatch):
    app = page("leaderboard", store.uri, monkeypatch, suite="face")
    app.text_input(key="methods").set_value("wide, mean").run()
    assert names(clean(app)) == ["prnet/wide", "mean_face/default"]
    app.toggle(key="baselines").set_value(False).run()
    assert names(clean(app)) == ["prnet/wide"]
    app.text_input(key="methods").set_value("nothing of that name").run()
    assert clean(app).info[0].value == "No methods match these filters."


def test_all_statistics_and_metrics_are_columns_on_demand(store, monkeypatch):
    app = page("leaderboard", store.uri, monkeypatch, suite="face")
    app.toggle(key="statistics").set_value(True).run()
    app.toggle(key="all_metrics").set_value(True).run()
    first = table(clean(app), "leaderboard")[0]
    row = leaderboard(store, suite="face")[0]
    assert first["median"] == number(row.median)
    assert first["IQM"] == number(row.interquartile_mean)
    assert first["gap"] == number(row.optimality_gap)
    assert float(first["pose_mae (degrees)"]) == pytest.approx(5.5, rel=0.05)


def test_missing_scenes_provisional_and_cut_short_rows_are_marked(tmp_path, monkeypatch):
    store = ResultStore(str(tmp_path))
    for seed in range(3):
        row = run_row(ENTRANTS[1], seed)
        store.write_attempt(row, metric_rows(row, ENTRANTS[1], 6), [])
    row = run_row(ENTRANTS[0], 0)
    store.write_attempt(row, metric_rows(row, ENTRANTS[0], 5), [])
    cut = run_row(ENTRANTS[2], 0, cut_short="cut short at step 94 of 180")
    store.write_attempt(cut, metric_rows(cut, ENTRANTS[2], 6), [])
    lines = {line["method"].split(" | ")[0]: line for line in table(page("leaderboard", tmp_path, monkeypatch), "leaderboard")}
    assert lines["prnet/mini"]["scenes"] == "5/6"
    assert "provisional" in lines["prnet/mini"]["method"]
    assert "not scored on scene_05" in lines["prnet/mini"]["method"]
    assert "provisional" not in lines["prnet/wide"]["method"]
    assert "cut short at step 94 of 180" in lines["mean_face/default"]["method"]
    assert lines["mean_face/default"]["#"] == "–"


def test_method_with_values_that_are_not_finite_says_so(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=1, scenes=2)
    row = replace(run_row(ENTRANTS[0], 5), run_id="f1" * 8, variant="nan")
    values = [MetricRow(row.run_id, 1, "scene_00", "nme_68_2d", float("nan"), "%", "down")]
    store.write_attempt(row, values, [])
    found = table(page("leaderboard", tmp_path, monkeypatch, suite="face"), "leaderboard")
    lines = {line["method"].split(" | ")[0]: line for line in found}
    assert "nme_68_2d is not finite" in lines["prnet/nan"]["method"]


def test_failed_runs_stay_visible_and_lead_to_their_page(store, monkeypatch):
    app = page("leaderboard", store.uri, monkeypatch, suite="face")
    lines = table(app, "runs")
    assert sorted(line["status"] for line in lines) == ["diverged", "failed"]
    assert "RuntimeError: shapes do not match: 3 and 4" in [line["error"] for line in lines]
    assert f'href="run?run_id={"b0" * 8}"' in html(app)


@pytest.mark.parametrize("figure", ["Time", "Memory", "Intervals", "Profiles", "Across suites"])
def test_every_figure_is_drawn(figure, store, monkeypatch):
    app = page("leaderboard", store.uri, monkeypatch, suite="face", figure=figure)
    drawn = app.get("vega_lite_chart")
    assert len(drawn) == 1 or (figure == "Across suites" and "share two entries" in words(app))


def test_ranks_across_suites_are_those_of_the_terminal(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=2, scenes=3)
    for entrant in ENTRANTS[:2]:
        indoor = replace(entrant, suite="indoor", level={"f_score_5cm": 50.0 + len(entrant.variant)})
        for seed in range(2):
            row = run_row(indoor, seed)
            store.write_attempt(row, metric_rows(row, indoor, 3), [])
    app = page("leaderboard", tmp_path, monkeypatch, figure="Across suites")
    assert len(app.get("vega_lite_chart")) == 1
    assert "Critical difference 1.39" in words(app)
    assert "Not in all tables: mean_depth_plane/default, mean_face/default, tsdf_fusion/default" in words(app)


def test_cost_is_drawn_for_ranked_entries_and_names_its_device(store, monkeypatch):
    rows = leaderboard(store, suite="face")
    assert [point.name for point in cost_points(rows, "time")] == ["prnet/wide", "prnet/mini", "mean_face/default"]
    assert all(point.cost_text.endswith("MB") for point in cost_points(rows, "memory"))


@pytest.mark.parametrize(("suite", "said"), [("face", "The dashed line"), ("indoor", "mean_depth_plane/default")])
def test_what_is_said_below_the_costs_is_what_is_drawn(suite, said, store, monkeypatch):
    shown = words(page("leaderboard", store.uri, monkeypatch, suite=suite))
    (drawn,) = page("leaderboard", store.uri, monkeypatch, suite=suite).get("vega_lite_chart")
    assert ("The dashed line" in shown) == ("strokeDash" in drawn.proto.spec)
    assert said in shown


def test_entries_of_one_name_are_told_apart_in_figures(store):
    row = leaderboard(store, suite="face")[0]
    found = entry_names([row, row, replace(row, variant="tiny")])
    assert found == [f"{row.method}/{row.variant} #1", f"{row.method}/{row.variant} #2", f"{row.method}/tiny"]


def test_parquet_has_the_rows(store):
    rows = leaderboard(store, suite="face")
    frame = pq.read_table(io.BytesIO(to_parquet(rows))).to_pandas()
    assert frame.value.dropna().tolist() == [row.value for row in rows if row.value is not None]
    assert frame.run_ids.iloc[0].tolist() == list(rows[0].run_ids)


def test_versions_of_the_data_are_never_shown_together(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=1, scenes=2)
    row = run_row(ENTRANTS[0], 0, run_id="e1" * 8, dataset_version="d2")
    store.write_attempt(row, metric_rows(row, ENTRANTS[0], 2), [])
    app = page("leaderboard", store.uri, monkeypatch, suite="face")
    versions = app.selectbox(key="version")
    assert versions.options == ["protocol 1, data d1", "protocol 1, data d2"]
    versions.select("protocol 1, data d2").run()
    assert names(clean(app)) == ["prnet/mini"]


def test_group_in_which_everything_failed_has_a_page(tmp_path, monkeypatch):
    store = ResultStore(str(tmp_path))
    store.write_attempt(run_row(ENTRANTS[0], 0, status="failed", error="no luck", train_s=0.0), [], [])
    assert "Failed runs (1)" in words(page("leaderboard", store.uri, monkeypatch))


def test_where_nothing_was_scored_there_is_no_metric_to_choose_or_to_explain(tmp_path, monkeypatch):
    store = ResultStore(str(tmp_path))
    store.write_attempt(run_row(ENTRANTS[0], 0, status="failed", error="no luck"), [], [])
    for name in ("leaderboard", "compare"):
        app = page(name, tmp_path, monkeypatch)
        assert "Metric" not in [box.label for box in app.selectbox]
        assert html(app).count("<p>") == 1


def test_names_cannot_turn_our_own_words_around(tmp_path, monkeypatch):
    store = ResultStore(str(tmp_path))
    row = run_row(ENTRANTS[0], 0, dataset="a\u202eb", error="c\u2066d")
    store.write_attempt(row, metric_rows(row, ENTRANTS[0], 2), [])
    for name in ("home", "leaderboard", "run"):
        assert "\u202e" not in html(page(name, tmp_path, monkeypatch))


def test_sweep_is_no_leaderboard(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=1, scenes=2)
    row = run_row(ENTRANTS[0], 0, suite="tune:fast", tier="", config=json.dumps({"optimizer": {"lr": 0.01}}), run_id="c" * 16)
    store.write_attempt(replace(row, started_at=pd.Timestamp.now("UTC").to_pydatetime()), [], [])
    assert page("leaderboard", store.uri, monkeypatch).selectbox(key="suite").options == ["face", "indoor"]


def test_new_results_appear_without_a_restart(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=1, scenes=2)
    app = page("leaderboard", store.uri, monkeypatch, suite="face")
    assert "prnet/new" not in names(app)
    row = replace(run_row(ENTRANTS[0], 5), run_id="f1" * 8, variant="new")
    store.write_attempt(row, metric_rows(row, ENTRANTS[0], 2), [])
    assert "prnet/new" in names(clean(app.run()))

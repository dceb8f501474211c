import json
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
from stores import ENTRANTS, build_store, metric_rows, run_row
from streamlit.testing.v1 import AppTest

from deep3dmap.dashboard.reading import RESULTS_VARIABLE
from deep3dmap.dashboard.views.leaderboard import chart_names
from deep3dmap.results.leaderboard import leaderboard
from deep3dmap.results.schema import MetricRow
from deep3dmap.results.store import ResultStore

APP = str(resources.files("deep3dmap.dashboard") / "app.py")
PAGES = ("leaderboard", "run", "trials", "catalogue")


def page(name, uri, monkeypatch, **query):
    monkeypatch.setenv(RESULTS_VARIABLE, str(uri))
    app = AppTest.from_string(f"from deep3dmap.dashboard.views import {name}\n{name}.show()", default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def clean(app):
    assert not app.exception, app.exception
    return app


def texts(app):
    return [element.value for kind in (app.header, app.subheader, app.caption, app.markdown) for element in kind]


def run_of(store, method, status="ok"):
    runs = store.runs()
    return runs[(runs.method == method) & (runs.status == status)].iloc[0]


# -- leaderboard ----------------------------------------------------------------------------------------------------------


def test_app_opens_on_the_leaderboard_of_the_first_suite(store, monkeypatch):
    monkeypatch.setenv(RESULTS_VARIABLE, store.uri)
    app = clean(AppTest.from_file(APP, default_timeout=60).run())
    assert app.header[0].value == "Faces: alignment and reconstruction from one photograph"
    assert not app.warning
    assert not app.error


def test_table_holds_the_numbers_of_the_leaderboard(store, monkeypatch):
    table = clean(page("leaderboard", store.uri, monkeypatch)).dataframe[0].value
    rows = leaderboard(store, suite="face")
    assert table["nme_68_2d (% of sqrt(w h))"].dropna().tolist() == [row.value for row in rows if row.value is not None]
    assert table.method.tolist() == ["prnet/wide", "prnet/mini", "mean_face/default · baseline", "broken_net/default"]
    assert table.inputs.tolist() == ["image, box", "image, box", "box", "image"]
    assert table["95 % interval"].iloc[0].count("–") == 1


def test_trials_of_a_sweep_are_told_apart_by_their_settings(tmp_path, monkeypatch):
    store = ResultStore(str(tmp_path))
    for number, (rate, status) in enumerate([(0.01, "ok"), (0.02, "ok"), (0.5, "stopped")]):
        config = json.dumps({"optimizer": {"lr": rate}})
        row = run_row(ENTRANTS[0], 0, suite="tune:fast", tier="", config=config, status=status, run_id=f"{number}" * 16)
        store.write_attempt(row, [MetricRow(row.run_id, row.attempt, "", "loss", 1.0 + rate, "", "down")], [])
        store.write_trial_state(row.run_id, status, f"fast: trial {number}")
    app = clean(page("leaderboard", store.uri, monkeypatch))
    table = app.dataframe[0].value
    assert table.settings.tolist() == ["optimizer.lr=0.01", "optimizer.lr=0.02", "optimizer.lr=0.5"]
    assert table.loss.dropna().tolist() == [1.01, 1.02]
    assert "leaderboard Tier" not in {box.key for box in app.selectbox}
    assert not any("tier" in text or "Failed runs" in text for text in texts(app))
    trials = clean(page("trials", store.uri, monkeypatch))
    shown = {metric.label: metric.value for metric in trials.metric}
    assert (shown["Finished"], shown["Stopped early"], shown["Failed"]) == ("2", "1", "0")


def test_entries_of_one_name_bear_their_rank_in_the_charts(store):
    row = leaderboard(store, suite="face")[0]
    names = chart_names([replace(row, rank=1), replace(row, rank=2), replace(row, variant="tiny", rank=3)])
    assert names == [f"{row.method}/{row.variant} #1", f"{row.method}/{row.variant} #2", f"{row.method}/tiny"]


def test_failed_runs_stay_visible_and_lead_to_their_page(store, monkeypatch):
    failed = clean(page("leaderboard", store.uri, monkeypatch)).dataframe[1].value
    assert sorted(failed.status) == ["diverged", "failed"]
    assert "RuntimeError: shapes do not match: 3 and 4" in failed.error.tolist()
    assert f"run?run_id={'b0' * 8}" in failed.run.tolist()


def test_filters_choose_suite_metric_and_methods(store, monkeypatch):
    app = page("leaderboard", store.uri, monkeypatch)
    app.selectbox(key="leaderboard Suite").select("indoor").run()
    app.selectbox(key="leaderboard Metric").select("chamfer").run()
    assert app.dataframe[0].value["chamfer (m)"].tolist() == pytest.approx([0.021, 0.42], rel=0.05)
    app.multiselect[0].select("mean_depth_plane/default").run()
    assert app.dataframe[0].value.method.tolist() == ["mean_depth_plane/default · baseline"]


def test_baselines_can_be_left_out_and_all_metrics_shown(store, monkeypatch):
    app = page("leaderboard", store.uri, monkeypatch)
    next(toggle for toggle in app.toggle if toggle.label == "Baselines").set_value(False).run()
    next(toggle for toggle in app.toggle if toggle.label == "Show all metrics").set_value(True).run()
    table = clean(app).dataframe[0].value
    assert "mean_face/default · baseline" not in table.method.tolist()
    assert table["pose_mae (degrees)"].iloc[0] == pytest.approx(5.5, rel=0.05)


def test_without_any_method_left_it_says_so(store, monkeypatch):
    app = page("leaderboard", store.uri, monkeypatch)
    app.multiselect[0].select("mean_face/default").run()
    next(toggle for toggle in app.toggle if toggle.label == "Baselines").set_value(False).run()
    assert clean(app).info[0].value == "No method is left with these filters."


def test_versions_of_the_data_are_never_shown_together(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=1, scenes=2)
    row = run_row(ENTRANTS[0], 0, run_id="e1" * 8, dataset_version="d2")
    store.write_attempt(row, metric_rows(row, ENTRANTS[0], 2), [])
    app = clean(page("leaderboard", store.uri, monkeypatch))
    versions = app.selectbox(key="leaderboard Version")
    assert versions.options == ["protocol 1, data d1", "protocol 1, data d2"]
    versions.select("protocol 1, data d2").run()
    assert clean(app).dataframe[0].value.method.tolist() == ["prnet/mini"]


def test_group_in_which_everything_failed_has_a_page(tmp_path, monkeypatch):
    store = ResultStore(str(tmp_path))
    store.write_attempt(run_row(ENTRANTS[0], 0, status="failed", error="no luck", train_s=0.0), [], [])
    app = clean(page("leaderboard", store.uri, monkeypatch))
    assert any("Failed runs (1)" in text for text in texts(app))


# -- run ------------------------------------------------------------------------------------------------------------------


def test_run_of_the_link_is_shown_with_metrics_curves_and_pictures(store, monkeypatch):
    wanted = run_of(store, "prnet")
    app = clean(page("run", store.uri, monkeypatch, run_id=wanted.run_id))
    assert app.header[0].value == f"prnet/{wanted.variant}"
    metrics = app.dataframe[0].value
    assert metrics.index.tolist()[:2] == ["whole run", "mean over scenes"]
    assert len(metrics) == 2 + 6
    assert metrics.columns[0] == "nme_68_2d (% of sqrt(w h))"
    assert [text.value for text in app.subheader] == ["Metrics", "Pictures", "Training", "How it was made"]


def test_start_of_an_id_suffices(store, monkeypatch):
    app = clean(page("run", store.uri, monkeypatch, run_id="b0b0"))
    assert app.header[0].value == "broken_net/default"


def test_error_of_a_failed_run_is_shown(store, monkeypatch):
    app = clean(page("run", store.uri, monkeypatch, run_id="b0" * 8))
    assert app.error[0].value == "**failed**"
    assert "RuntimeError: shapes do not match" in app.code[0].value


def test_every_attempt_can_be_seen_and_the_finished_one_counts(store, monkeypatch):
    every = store.runs(newest_only=False)
    retried = every[every.attempt == 2].run_id.iloc[0]
    app = clean(page("run", store.uri, monkeypatch, run_id=retried))
    assert not app.error
    app.segmented_control(key=f"attempt {retried}").set_value(2).run()
    assert clean(app).error[0].value == "**out_of_memory**"


def test_unknown_run_is_named_and_another_shown(store, monkeypatch):
    app = clean(page("run", store.uri, monkeypatch, run_id="feedbeef"))
    assert "feedbeef" in app.warning[0].value
    assert app.header


def test_another_run_can_be_chosen(store, monkeypatch):
    first, other = run_of(store, "prnet"), run_of(store, "tsdf_fusion")
    app = page("run", store.uri, monkeypatch, run_id=first.run_id)
    app.selectbox(key="run chosen").set_value(other.run_id).run()
    assert clean(app).header[0].value == "tsdf_fusion/default"
    # A value or a list of one, as the version of Streamlit has it.
    assert other.run_id in app.query_params["run_id"]


def test_configuration_is_shown(store, monkeypatch):
    app = clean(page("run", store.uri, monkeypatch, run_id=run_of(store, "prnet").run_id))
    assert json.loads(app.json[0].value)["trainer"]["max_seconds"] == 600


# -- trials and catalogue -------------------------------------------------------------------------------------------------


def test_trials_that_run_come_before_those_that_ended(store, monkeypatch):
    app = clean(page("trials", store.uri, monkeypatch))
    assert {metric.label: metric.value for metric in app.metric} == {
        "Running": "1",
        "Pending": "1",
        "Finished": "15",
        "Failed": "2",
    }
    now, ended = (table.value for table in app.dataframe)
    assert now.state.tolist() == ["running", "pending"]
    assert now.what.iloc[0] == "prnet/wide on heads, seed 3: scored 4 of 12"
    assert not set(ended.state) & {"running", "pending"}


def test_catalogue_has_the_cards(store, monkeypatch):
    app = clean(page("catalogue", store.uri, monkeypatch))
    app.selectbox(key="catalogue method").select("prnet").run()
    assert any("The title of prnet" in text for text in texts(clean(app)))
    assert app.selectbox(key="catalogue suite").options == ["face", "indoor"]
    assert app.selectbox(key="catalogue dataset").options == ["heads", "rooms"]


# -- stores that are not as one would wish --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_empty_store_says_what_to_run(name, tmp_path, monkeypatch):
    app = clean(page(name, tmp_path, monkeypatch))
    assert app.code[0].value == f"deep3dmap benchmark suite=face tier=smoke results={tmp_path}"


def test_damaged_file_is_named_and_the_rest_shown(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=2, scenes=2)
    damaged = sorted(Path(store.uri, "tables", "runs").glob("*.parquet"))[0]
    damaged.write_bytes(b"no Parquet")
    monkeypatch.setenv(RESULTS_VARIABLE, store.uri)
    app = clean(AppTest.from_file(APP, default_timeout=60).run())
    assert any(damaged.name in warning.value for warning in app.warning)
    assert app.dataframe


def test_new_results_appear_without_a_restart(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=1, scenes=2)
    app = clean(page("leaderboard", store.uri, monkeypatch))
    assert "prnet/new" not in app.dataframe[0].value.method.tolist()
    row = replace(run_row(ENTRANTS[0], 5), run_id="f1" * 8, variant="new")
    store.write_attempt(row, metric_rows(row, ENTRANTS[0], 2), [])
    assert "prnet/new" in clean(app.run()).dataframe[0].value.method.tolist()

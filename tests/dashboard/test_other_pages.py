import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pages import APP, PAGES, clean, html, page, table, words
from stores import ENTRANTS, START, build_store, metric_rows, run_row
from streamlit.testing.v1 import AppTest

from deep3dmap.dashboard import plugins
from deep3dmap.dashboard.reading import RESULTS_VARIABLE
from deep3dmap.dashboard.trials import Trials, parse_progress
from deep3dmap.dashboard.views.catalogue import readme
from deep3dmap.results.schema import MetricRow
from deep3dmap.results.store import ResultStore
from deep3dmap.results.sweeps import sweep_of

RATES = (0.001, 0.002, 0.004, 0.008, 0.0160000000000000003)


def write_sweep(store):
    """Five trials with two settings; a smaller learning rate is better, and one trial is stopped early."""
    for number, rate in enumerate(RATES):
        config = json.dumps({"optimizer": {"lr": rate}, "method": {"width": [8, 16][number % 2], "loss": "l1"}})
        status = "stopped" if number == 4 else "ok"
        row = run_row(ENTRANTS[0], 0, suite="tune:fast", tier="", config=config, status=status, run_id=f"{number}a" * 8)
        row = replace(row, train_s=10.0 * (1 + number), started_at=START + timedelta(minutes=number))
        store.write_attempt(row, [MetricRow(row.run_id, 1, "", "loss", 1.0 + rate, "", "down")], [])
    return store


# -- home -----------------------------------------------------------------------------------------------------------------


def test_home_says_what_is_in_the_store_and_leads_there(store, monkeypatch):
    app = page("home", store.uri, monkeypatch)
    said = words(app)
    for part in ("Runs 17", "Methods 5", "Suites 2", "Faces: alignment", "Rooms from posed RGB-D", "prnet/wide"):
        assert part in said
    assert 'href="leaderboard?suite=face&amp;tier=quick&amp;dataset=heads%2Fquick"' in html(app)
    assert len(app.get("image")) == 2
    assert "results merge OTHER" in words(app)


@pytest.mark.parametrize("name", PAGES)
def test_empty_store_says_what_to_run(name, tmp_path, monkeypatch):
    app = page(name, tmp_path, monkeypatch)
    assert app.code[0].value.startswith(("deep3dmap benchmark suite=face tier=smoke", "deep3dmap tune"))
    assert str(tmp_path) in app.code[0].value


# -- sweeps ---------------------------------------------------------------------------------------------------------------


def test_sweep_has_its_trials_best_configuration_and_figures(tmp_path, monkeypatch):
    write_sweep(ResultStore(str(tmp_path)))
    app = page("sweeps", tmp_path, monkeypatch)
    lines = table(app, "trials")
    assert [line["lr"] for line in lines] == ["0.001", "0.002", "0.004", "0.008", "0.016"]
    assert lines[-1]["state"].endswith("stopped")
    assert app.code[0].value == "method.width=8\noptimizer.lr=0.001"
    for view in ("History", "Settings", "Time", "Memory"):
        app.segmented_control(key="view").set_value(view).run()
        assert len(clean(app).get("vega_lite_chart")) == 1, view
    app.segmented_control(key="view").set_value("Importance").run()
    assert table(clean(app), "importance")[0]["setting"] == "optimizer.lr"
    app.segmented_control(key="view").set_value("Learning curves").run()
    assert "The trials have no curves." in words(clean(app))


def test_best_yaml_of_the_sweep_is_named_where_it_lies_in_the_store(tmp_path, monkeypatch):
    write_sweep(ResultStore(str(tmp_path)))
    folder = tmp_path / "tune" / "fast"
    folder.mkdir(parents=True)
    (folder / "best.yaml").write_text("method: prnet\n")
    app = page("sweeps", tmp_path, monkeypatch)
    assert f"deep3dmap train from={tmp_path}/tune/fast/best.yaml" in app.code[0].value


def test_best_trial_is_one_that_was_trained_to_the_end(tmp_path):
    store = write_sweep(ResultStore(str(tmp_path)))
    sweep = sweep_of(store.runs(), store.metrics(), "loss")
    assert sweep.parameters == ["method.width", "optimizer.lr"]
    assert (sweep.best.number, sweep.best.settings["optimizer.lr"]) == (1, 0.001)
    assert sweep.importance()["optimizer.lr"] == pytest.approx(1.0)
    assert sweep.trials[-1].value == pytest.approx(1.016)
    assert sweep_of(store.runs().head(3), store.metrics(), "loss").importance() == {}


# -- live -----------------------------------------------------------------------------------------------------------------


def test_what_runs_comes_before_what_is_pending(store, monkeypatch):
    app = page("live", store.uri, monkeypatch)
    now = table(app, "running and pending trials")
    assert [line["state"].split()[-1] for line in now] == ["running", "pending"]
    assert now[0]["what"] == "prnet/wide on heads, seed 3: scored 4 of 12"
    assert "width:33.3%" in html(app)
    said = words(app)
    assert "Running 1 Pending 1 Finished 15 Failed 2" in said


def test_curves_of_what_runs_are_drawn(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=1, scenes=1)
    store.write_trial_state("c0" * 8, "running", "prnet/wide on heads")
    work = tmp_path / "work" / ("c0" * 8)
    work.mkdir(parents=True)
    points = [{"step": step, "seconds": step, "name": "loss", "value": 1.0 / step} for step in (1, 2)]
    (work / "curves.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points))
    assert len(page("live", tmp_path, monkeypatch).get("vega_lite_chart")) == 1


def test_a_state_is_read_again_only_if_it_has_changed(tmp_path, monkeypatch):
    store = ResultStore(str(tmp_path))
    for number in range(20):
        store.write_trial_state(f"{number:016x}", "pending", "waits")
    trials, read = Trials(store), []
    monkeypatch.setattr(
        trials.store.storage, "read", lambda name, own=trials.store.storage.read: read.append(name) or own(name)
    )
    assert len(trials.find_active(frozenset())) == 20
    assert len(trials.find_active(frozenset())) == 20
    assert len(read) == 20
    ResultStore(str(tmp_path)).write_trial_state(f"{3:016x}", "running", "scored 1 of 4")
    assert trials.find_active(frozenset())[0].state == "running"
    assert len(read) == 21


def test_folder_that_has_not_changed_is_not_listed(tmp_path, monkeypatch):
    store = ResultStore(str(tmp_path))
    store.write_trial_state("0" * 16, "running", "waits")
    os.utime(tmp_path / "tables" / "trials", (1e9, 1e9))
    trials = Trials(store)
    assert len(trials.find_active(frozenset())) == 1
    monkeypatch.setattr(trials, "_list_relevant_files", lambda ended: pytest.fail("listed again"))
    assert len(trials.find_active(frozenset())) == 1


def test_damaged_state_is_named(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=1, scenes=1)
    store.write_trial_state("c0" * 8, "running", "prnet/wide on heads")
    file = Path(tmp_path, "tables", "trials", "c0" * 8 + ".parquet")
    file.write_bytes(file.read_bytes()[:100])
    app = page("live", tmp_path, monkeypatch)
    assert any(r"c0c0" in warning.value and "damaged" in warning.value for warning in app.warning)


@pytest.mark.parametrize(("text", "share"), [("a: scored 4 of 12", 1 / 3), ("a: trial 3", None), ("1 of 0", None), ("", None)])
def test_share_that_is_done(text, share):
    assert parse_progress(text) == (None if share is None else pytest.approx(share))


# -- catalogue ------------------------------------------------------------------------------------------------------------


def test_catalogue_has_the_cards(store, monkeypatch):
    app = page("catalogue", store.uri, monkeypatch, method="prnet")
    assert "The title of prnet" in words(app)
    assert "What it does." in words(app)
    app.segmented_control(key="kind").set_value("Suites").run()
    assert app.selectbox(key="suite").options == ["face", "indoor"]
    app.segmented_control(key="kind").set_value("Metrics").run()
    lines = table(clean(app), "metrics of all suites")
    assert {line["suite"] for line in lines} == {"face", "indoor"}
    assert any("chamfer" in line["metric"] and line["unit"] == "m" for line in lines)


def test_store_without_cards_says_so_and_what_is_installed_can_be_looked_up(tmp_path, monkeypatch):
    store = ResultStore(str(tmp_path))
    row = run_row(ENTRANTS[0], 0)
    store.write_attempt(row, metric_rows(row, ENTRANTS[0], 2), [])
    app = page("catalogue", tmp_path, monkeypatch)
    assert app.caption[0].value == "The store contains no cards of methods."
    assert "No results yet" not in words(app)


def test_readme_makes_no_browser_fetch_anything():
    text = readme("# Title\n![a](https://evil.example/x.png) ![b](local.png) <img src=https://evil.example/y> 1 < 2\n")
    assert text == "#### Title\n*a* *b* &lt;img src=https://evil.example/y> 1 < 2\n"


def test_what_is_broken_where_the_page_is_served_is_listed(store, monkeypatch):
    found = [
        {"what": "methods", "works": True, "detail": "20 registered ones load", "remedy": ""},
        {"what": "method torn", "works": False, "detail": "ImportError: no spam", "remedy": "install it again"},
    ]
    monkeypatch.setattr("deep3dmap.dashboard.views.catalogue.findings", lambda: found)
    app = page("catalogue", store.uri, monkeypatch, kind="Installed here")
    app.button(key="look").click().run()
    first = table(clean(app), "installed components")[0]
    assert (first["component"], first["found"], first["fix"]) == ("method torn", "ImportError: no spam", "install it again")


@pytest.mark.slow
def test_findings_are_those_of_the_doctor():
    assert any(one["what"] == "methods" and one["works"] for one in plugins.findings())


# -- stores that are not as one would wish --------------------------------------------------------------------------------


def test_damaged_file_is_named_and_the_rest_shown(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=2, scenes=2)
    damaged = sorted(Path(store.uri, "tables", "runs").glob("*.parquet"))[0]
    damaged.write_bytes(b"no Parquet")
    monkeypatch.setenv(RESULTS_VARIABLE, store.uri)
    app = clean(AppTest.from_file(APP, default_timeout=60).run())
    assert any(damaged.name.partition("-")[0] in warning.value for warning in app.warning)
    assert "Leaderboards" in words(app)

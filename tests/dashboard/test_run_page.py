import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from pages import clean, html, page, table, words
from stores import ENTRANTS, build_store, metric_rows, run_row

from deep3dmap.dashboard.charts.curves import MOST_POINTS, curve_chart
from deep3dmap.dashboard.views.run_making import flat_facts
from deep3dmap.results.reproduction import Verdict, to_json
from deep3dmap.results.schema import CurveRow
from deep3dmap.results.store import ResultStore


def run_of(store, method, status="ok"):
    runs = store.runs()
    return runs[(runs.method == method) & (runs.status == status)].iloc[0]


def charts(app):
    return [json.loads(element.proto.spec) for element in app.get("vega_lite_chart")]


def test_run_of_the_link_is_shown_with_metrics_curves_and_pictures(store, monkeypatch):
    wanted = run_of(store, "prnet")
    app = page("run", store.uri, monkeypatch, run_id=wanted.run_id)
    lines = table(app, "metrics")
    assert [line["scene"] for line in lines][:2] == ["whole run", "mean over scenes"]
    assert len(lines) == 2 + 6
    assert list(lines[0])[1] == "nme_68_2d (% of sqrt(w h))"
    said = words(app)
    for part in (f"prnet/{wanted.variant}", "Pictures", "Training", "Replay", "How it was made", "Peak RAM"):
        assert part in said
    assert len(app.get("image")) == 1
    assert len(charts(app)) == 1


def test_start_of_an_id_and_words_find_runs(store, monkeypatch):
    assert "broken_net/default" in words(page("run", store.uri, monkeypatch, run_id="b0b0"))
    found = table(page("run", store.uri, monkeypatch, run_id="prnet wide"), "runs")
    assert {line["method"].split(" | ")[0] for line in found} == {"prnet/wide"}
    assert len(found) == 3


def test_error_of_a_failed_run_is_shown(store, monkeypatch):
    app = page("run", store.uri, monkeypatch, run_id="b0" * 8)
    assert app.error[0].value == "failed"
    assert "RuntimeError: shapes do not match" in app.code[0].value


def test_every_attempt_can_be_seen_and_the_finished_one_counts(store, monkeypatch):
    every = store.runs(newest_only=False)
    retried = every[every.status == "out_of_memory"].run_id.iloc[0]
    app = page("run", store.uri, monkeypatch, run_id=retried)
    assert not app.error
    app.selectbox(key=f"attempt {retried}").set_value(2).run()
    assert clean(app).error[0].value == r"out\_of\_memory"


def test_unknown_run_is_named_and_others_listed(store, monkeypatch):
    app = page("run", store.uri, monkeypatch, run_id="feedbeef")
    assert "feedbeef" in app.warning[0].value
    assert len(table(app, "runs")) == len(store.runs())


def test_runs_of_one_entry_lead_to_each_other(store, monkeypatch):
    first = run_of(store, "prnet")
    runs = store.runs()
    others = runs[(runs.method == "prnet") & (runs.variant == first.variant) & (runs.run_id != first.run_id)]
    shown = html(page("run", store.uri, monkeypatch, run_id=first.run_id))
    assert all(f'href="run?run_id={run_id}"' in shown for run_id in others.run_id)
    assert "different code" not in shown


def test_run_of_other_code_is_not_taken_for_another_seed(tmp_path, monkeypatch):
    store = ResultStore(str(tmp_path))
    for number, code in enumerate(("old", "new")):
        row = run_row(ENTRANTS[0], 0, method_version=code, run_id=f"{number}a" * 8)
        store.write_attempt(row, metric_rows(row, ENTRANTS[0], 2), [])
    shown = html(page("run", store.uri, monkeypatch, run_id="1a"))
    assert ">seed 0 (different code)</a>" in shown


def test_configuration_and_its_difference_to_another_run_are_shown(store, monkeypatch):
    runs = store.runs()
    wide, mini = (
        runs[(runs.method == "prnet") & (runs.variant == name) & (runs.seed == 0)].iloc[0] for name in ("wide", "mini")
    )
    app = page("run", store.uri, monkeypatch, run_id=wide.run_id)
    assert any('"max_seconds": 600' in block.value for block in app.code)
    app.selectbox(key="other").set_value(mini.run_id).run()
    found = {line["setting"]: line[mini.run_id[:8]] for line in table(clean(app), "differences")}
    assert found == {"method.width": "8", "variant": "mini"}
    assert "seed" in flat_facts(wide)


def test_curves_of_several_runs_are_drawn_together(store, monkeypatch):
    app = page("run", store.uri, monkeypatch, run_id=run_of(store, "prnet").run_id)
    other = next(name for name in app.multiselect(key="beside").options if name.startswith("prnet/mini seed 0"))
    app.multiselect(key="beside").select(other).run()
    assert len(charts(clean(app))[0]["encoding"]["color"]["scale"]["domain"]) == 2


def test_curve_of_one_point_is_drawn_and_a_long_one_thinned(tmp_path, monkeypatch):
    store = ResultStore(str(tmp_path))
    row = run_row(ENTRANTS[0], 0)
    points = [CurveRow(row.run_id, 1, 180, 3.0, "validation_loss", 0.5)]
    points += [CurveRow(row.run_id, 1, step, step / 10, "loss", 1.0 / (1 + step)) for step in range(5000)]
    store.write_attempt(row, metric_rows(row, ENTRANTS[0], 2), points)
    app = page("run", tmp_path, monkeypatch, run_id=row.run_id)
    assert all(chart["mark"]["point"]["size"] > 0 for chart in charts(app))
    frame = store.curves()
    one = curve_chart(frame[frame.name == "loss"].assign(run="a"), "loss", ["a"], "step", False)
    steps = [point["step"] for point in one["data"]["values"]]
    assert len(steps) <= MOST_POINTS + 1
    assert steps[-1] == 4999


def test_replay_verdict_and_the_command_to_repeat_are_shown(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=1, scenes=2)
    run = run_of(store, "prnet")
    app = page("run", tmp_path, monkeypatch, run_id=run.run_id)
    assert f"deep3dmap reproduce {run.run_id} results={store.uri}" in words(app)
    verdict = to_json([Verdict("nme_68_2d", "differs", 4.2, 4.9, ("scene_00",))])
    row = replace(
        run_row(ENTRANTS[0 if run.variant == "mini" else 1], 0),
        attempt=int(run.attempt) + 1,
        reproduces=int(run.attempt),
        verdict=verdict,
        verdict_at=datetime(2026, 2, 1, tzinfo=UTC),
    )
    store.write_attempt(row, [], [])
    app = page("run", tmp_path, monkeypatch, run_id=run.run_id)
    app.selectbox(key=f"attempt {run.run_id}").set_value(int(run.attempt)).run()
    (line,) = table(clean(app), "verdicts")
    assert (line["metric"], line["original"], line["repeated"]) == ("nme_68_2d", "4.200", "4.900")
    assert "differs" in line["verdict"]
    assert "2026-02-01" in words(app)


def test_damaged_picture_is_named_and_takes_nothing_else_away(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=1, scenes=2)
    run = run_of(store, "prnet")
    damaged = Path(store.artifacts(run.run_id, int(run.attempt), "contact_sheet.png")[0])
    damaged.write_bytes(b"no picture")
    app = page("run", tmp_path, monkeypatch, run_id=run.run_id)
    assert any("contact" in warning.value and "cannot be shown" in warning.value for warning in app.warning)
    assert "How it was made" in words(app)
    assert charts(app)


def test_damaged_curves_are_named(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=1, scenes=2)
    run = run_of(store, "prnet")
    file = tmp_path / "tables" / "curves" / f"{run.run_id}-{run.attempt}.parquet"
    file.write_bytes(file.read_bytes()[:200])
    app = page("run", tmp_path, monkeypatch, run_id=run.run_id)
    assert any(run.run_id in warning.value and "damaged" in warning.value for warning in app.warning)


def test_link_that_leads_out_of_the_store_is_not_followed(tmp_path, monkeypatch):
    store = build_store(tmp_path / "store", seeds=1, scenes=2)
    run = run_of(store, "prnet")
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    folder = Path(store.artifacts_path(run.run_id, int(run.attempt)))
    (folder / "a_sheet.png").symlink_to(secret)
    app = page("run", store.uri, monkeypatch, run_id=run.run_id)
    assert "secret" not in words(app)
    assert "a_sheet" not in html(app)


def test_running_run_has_a_page_with_its_curves(tmp_path, monkeypatch):
    store = build_store(tmp_path, seeds=1, scenes=2)
    run_id = "c0" * 8
    store.write_trial_state(run_id, "running", "prnet/wide on heads, seed 3")
    work = tmp_path / "work" / run_id
    work.mkdir(parents=True)
    line = {"step": 1, "seconds": 0.5, "name": "loss", "value": 0.25}
    (work / "curves.jsonl").write_text(json.dumps(line) + "\n" + '{"step": 2, "sec')
    app = page("run", tmp_path, monkeypatch, run_id=run_id)
    assert "prnet/wide on heads, seed 3" in words(app)
    drawn = pa.ipc.open_stream(app.get("vega_lite_chart")[0].proto.data.data).read_pandas()
    assert drawn[["run", "step", "seconds", "value"]].to_numpy().tolist() == [[run_id[:8], 1, 0.5, 0.25]]


def test_empty_store_says_what_to_run(tmp_path, monkeypatch):
    app = page("run", tmp_path, monkeypatch)
    assert app.code[0].value == f"deep3dmap benchmark suite=face tier=smoke results={tmp_path}"

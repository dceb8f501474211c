"""`tune` as run by a user: errors, the search space, and a driver that is killed."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from deep3dmap.cli import main
from deep3dmap.results.store import ResultStore

SUPPORT = Path(__file__).resolve().parents[1] / "support"
TOY = ("method=toy_faces:ToyFace/mini", "dataset=heads/smoke", "dataset.train=16", "dataset.val=4", "dataset.test=3")
BUDGET = ("trainer.batch_size=4", "trainer.max_steps=10", "trainer.checkpoint_every=2", "trainer.max_seconds=0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("user")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "deep3dmap.cli", *arguments]


def environment(folder: Path) -> dict[str, str]:
    paths = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**os.environ, "PYTHONPATH": paths, "DEEP3DMAP_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}


def run(folder: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        command(*arguments), cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


def test_the_space_is_shown_and_mistakes_get_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toys = ("tune", "method=toys:Regression/mini", "dataset=toys:Dots", "trainer.max_steps=4", f"results={folder / 'shown'}")
    assert main([*toys, "--space", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["space"] == {"optimizer.lr": "loguniform(0.001, 0.1)", "method.hidden": "randint(2, 32)"}
    assert main([*toys, "tune.space.optimizer.lr=lognormal(1,2)"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("deep3dmap: tune.space.optimizer.lr=lognormal(1,2): unknown domain 'lognormal'")
    assert len(told.strip().splitlines()) == 1
    assert main([*toys, "--resume", "--restart"]) == 2
    with pytest.raises(SystemExit):
        main(["tune", "--help"])
    assert "tune.asha.grace=10.0" in capsys.readouterr().out


def test_a_library_that_is_absent_is_named_at_once(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str, *_: object) -> None:
        assert name == "hyperopt"

    monkeypatch.setattr(importlib.util, "find_spec", absent)
    # Before method and dataset are looked up, and long before Ray starts.
    assert main(["tune", "tune.searcher=hyperopt", f"results={folder / 'absent'}"]) == 2
    told = capsys.readouterr().err
    assert "tune.searcher=hyperopt needs the package 'hyperopt'; pip install 'deep3dmap[hyperopt]'" in told


@pytest.mark.slow
@pytest.mark.ray
def test_a_sweep_survives_the_death_of_its_driver(folder: Path) -> None:
    space = ("tune.space.optimizer.lr=loguniform(1e-3,1e-1)", "tune.searcher=random", "tune.trials=5", "tune.scheduler=none")
    arguments = ("tune", *TOY, *BUDGET, *space, "tune.name=mine", "tune.concurrent=2", "method.delay=0.5", "results=killed")
    driver = subprocess.Popen(command(*arguments), cwd=folder, env=environment(folder), start_new_session=True)
    journal = folder / "killed" / "work" / "tune" / "mine" / "trials.jsonl"
    wait_for(lambda: journal.is_file() and said(journal, "ended") >= 2 and begun(journal), 400)
    driver.send_signal(signal.SIGKILL)
    driver.wait(30)
    time.sleep(3)
    store = ResultStore(str(folder / "killed"))
    before = {row.run_id: row.started_at for row in store.runs().itertuples()}
    assert len(before) >= 2
    assert "add --resume" in run(folder, *arguments, code=2)

    told = json.loads(run(folder, *arguments, "--resume", "--json"))
    assert [trial["status"] for trial in told["trials"]] == ["ok"] * 5
    rows = store.runs(newest_only=False)
    assert len(rows) == 5
    assert rows.run_id.is_unique
    assert {run_id: when for run_id, when in zip(rows.run_id, rows.started_at) if run_id in before} == before
    assert set(rows.steps) == {10}
    curves = store.curves()
    for _, own in curves[curves.name == "validation_loss"].groupby("run_id"):
        assert own.step.max() == 10

    # The same sweep without interruption gives the same results.
    calm = json.loads(run(folder, *arguments[:-2], "method.delay=0.0", "results=calm", "--json"))
    losses = [[trial["metrics"]["validation_loss"] for trial in out["trials"]] for out in (told, calm)]
    assert losses[0] == losses[1]

    best = folder / "killed" / "tune" / "mine" / "best.yaml"
    settings = yaml.safe_load(best.read_text())
    out = json.loads(
        run(folder, "train", f"from={best}", "method=toy_faces:ToyFace/mini", "method.delay=0.0", "results=killed", "--json")
    )
    curves = store.curves()
    again, found = (
        curves[(curves.run_id == run_id) & (curves.name == "validation_loss")].set_index("step").value
        for run_id in (out["run_id"], told["best"]["run_id"])
    )
    assert again.to_dict() == found.to_dict()
    assert again.min() == told["best"]["metrics"]["validation_loss"]
    benchmark = ("suite=face", "tier=smoke", f"+best={best}", "seeds=1", *TOY[2:], "results=killed")
    names = "methods=[mean_face,toy_faces:ToyFace/mini]"
    run(folder, "benchmark", *benchmark, names, "datasets=[heads/smoke]", "method.ToyFace.delay=0.0")
    board = json.loads(run(folder, "leaderboard", "results=killed", "--format", "json"))["suites"]
    assert set(board) == {"face"}
    assert {f"{row['method']}/{row['variant']}" for row in board["face"]} == {
        "mean_face/smoke",
        "toy_faces:ToyFace/mini",
        "toy_faces:ToyFace/mini+tuned",
    }
    assert settings["tuned"]["optimizer.lr"] == told["best"]["values"]["optimizer.lr"]


@pytest.mark.slow
@pytest.mark.ray
def test_a_benchmark_grants_each_method_the_same_trials(folder: Path) -> None:
    arguments = ("suite=face", "tier=smoke", "methods=[mean_face,toy_faces:ToyFace]", "datasets=[heads/smoke]", *TOY[2:])
    line = ("benchmark", *arguments, "seeds=1", "tuning=3", "trainer.max_steps=6", "trainer.batch_size=4", "results=fair")
    assert "would be tuned first, with 3 trials: toy_faces:ToyFace/mini for heads" in run(folder, *line, "--dry-run")
    run(folder, *line)
    runs = ResultStore(str(folder / "fair")).runs()
    sweeps = runs[runs.suite.str.startswith("tune:")]
    assert len(sweeps) == 3
    assert set(sweeps.method) == {"toy_faces:ToyFace"}
    metrics = ResultStore(str(folder / "fair")).metrics(sweeps)
    assert (metrics.metric == "face/nme_68_2d").sum() == 3
    board = json.loads(run(folder, "leaderboard", "results=fair", "--format", "json"))["suites"]["face"]
    assert sorted(row["variant"] for row in board) == ["mini", "mini+tuned", "smoke"]


def said(journal: Path, kind: str) -> int:
    return journal.read_text().count(f'"kind": "{kind}"')


def begun(journal: Path) -> bool:
    """Return whether an unfinished trial has reported, so that it has a checkpoint."""
    events = [json.loads(line) for line in journal.read_text().splitlines() if line.endswith("}")]
    ended = {event["trial"] for event in events if event["kind"] == "ended"}
    return any(event["kind"] == "evaluated" and event["trial"] not in ended for event in events)


def wait_for(condition: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)

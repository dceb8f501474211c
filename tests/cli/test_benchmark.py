"""`benchmark`, `evaluate`, `train` and `reconstruct` as run by a user, including when processes are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deep3dmap.cli import main
from deep3dmap.results.store import ResultStore

pytestmark = pytest.mark.ray
SUPPORT = Path(__file__).resolve().parents[1] / "support"
HEADS = ("datasets=[heads/smoke]", "dataset.train=16", "dataset.val=4", "dataset.test=3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("user")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "deep3dmap.cli", *arguments]


def environment(folder: Path) -> dict[str, str]:
    paths = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    own = {
        "PYTHONPATH": paths,
        "DEEP3DMAP_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "TOYS_MARK": str(folder / "mark"),
    }
    return {**os.environ, **own}


def run(folder: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        command(*arguments), cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    if not (folder / "mark").exists():  # Ray itself reports a killed process
        assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


@pytest.fixture
def refused(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A function that runs a verb in this process, expecting exit code 2, and returns its error message."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DEEP3DMAP_CACHE", str(folder / "cache"))

    def refuse(*arguments: str) -> str:
        assert main(list(arguments)) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        return told

    return refuse


def scores(folder: Path, results: str) -> dict[str, float]:
    store = ResultStore(str(folder / results))
    frame = store.metrics(store.runs())
    return {f"{row.scene}/{row.metric}": row.value for row in frame.itertuples()}


def test_a_benchmark_with_a_failing_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    methods = "methods=[mean_face,toy_faces:ToyFace]"
    broken = "method.ToyFace.fail=reconstruct"
    arguments = ("benchmark", "suite=face", "tier=smoke", methods, *HEADS, "seeds=2", "results=first")
    out = run(folder, *arguments, broken, "--json", code=1)
    assert "asked to fail" in out
    # The end of every run is reported in a pipe, too.
    assert [f"[{number}/4]" in out for number in (1, 2, 3, 4)] == [True] * 4
    runs = ResultStore(str(folder / "first")).runs()
    assert sorted(zip(runs.method, runs.status)) == [("mean_face", "ok")] * 2 + [("toy_faces:ToyFace", "failed")] * 2
    assert runs.error[runs.status == "failed"].str.contains("RuntimeError: asked to fail").all()
    assert runs.inputs.map(list).tolist() == [["image", "box"]] * 4
    good = runs[runs.status == "ok"].iloc[0]
    assert list(Path(good.artifacts_uri).rglob("*.png"))
    assert list(Path(good.artifacts_uri).rglob("arrays.npz"))
    assert main(["leaderboard", f"results={folder / 'first'}", "--format", "json"]) == 0
    board = json.loads(capsys.readouterr().out)["suites"]["face"]
    best = next(row for row in board if row["method"] == "mean_face")
    assert best["seeds"] == 2
    assert best["value"] > 0

    # With --resume only the failed run is repeated, here without the fault.
    out = run(folder, *arguments, "--resume")
    again = ResultStore(str(folder / "first")).runs()
    assert (again.status == "ok").sum() == 4
    every = ResultStore(str(folder / "first")).runs(newest_only=False)
    assert every[every.method == "mean_face"].run_id.is_unique


def test_training_then_evaluation_and_reconstruction(folder: Path, refused: Callable[..., str]) -> None:
    arguments = ("method=toy_faces:ToyFace/mini", "dataset=heads/smoke", *HEADS[1:], "trainer.batch_size=4", "results=second")
    out = json.loads(run(folder, "train", *arguments, "--json"))
    assert out["steps"] == 4
    assert "validation_loss" in out["metrics"]
    assert "already exists, at step 4" in refused("train", *arguments)
    curves = ResultStore(str(folder / "second")).curves()
    assert {"loss", "l2", "learning_rate", "validation_loss"} <= set(curves.name)

    assert "add method=toy_faces:ToyFace" in refused("evaluate", out["checkpoint"], "suite=face")
    trusted = "method=toy_faces:ToyFace"
    run(folder, "evaluate", out["checkpoint"], trusted, "suite=face", "tier=smoke", *HEADS, "results=second")
    runs = ResultStore(str(folder / "second")).runs()
    assert sorted(runs.suite) == ["", "face"]

    photo = next((folder / "cache" / "heads").rglob("test_*/*.jpg"))
    run(folder, "reconstruct", out["checkpoint"], str(photo), "-o", "out", "dataset.box=[30,40,90,110]", trusted)
    assert {file.name for file in (folder / "out").rglob("*") if file.is_file()} >= {
        "arrays.npz",
        "picture.png",
        "reconstruction.json",
    }
    assert "must be trained first" in refused("reconstruct", "prnet/smoke", str(photo), "-o", "out")
    assert "no checkpoint.json" in refused("reconstruct", str(folder), str(photo), "-o", "out")


def test_a_trial_killed_with_sigkill_ends_with_the_same_numbers(folder: Path) -> None:
    base = ("benchmark", "suite=face", "tier=smoke", "methods=[toy_faces:ToyFace]", *HEADS, "seeds=1")
    budget = ("trainer.max_steps=8", "trainer.batch_size=4", "trainer.checkpoint_every=2", "trainer.max_seconds=0")
    run(folder, *base, *budget, "results=calm")
    run(folder, *base, *budget, "results=killed", "method.ToyFace.die_at=6")
    assert (folder / "mark").exists()
    assert scores(folder, "killed") == scores(folder, "calm")
    assert len(ResultStore(str(folder / "killed")).runs(newest_only=False)) == 1


def test_a_driver_killed_with_sigkill_is_resumed_to_the_same_numbers(folder: Path) -> None:
    base = ("benchmark", "suite=face", "tier=smoke", "methods=[toy_faces:ToyFace]", *HEADS, "seeds=1", "results=driver")
    budget = ("trainer.max_steps=8", "trainer.batch_size=4", "trainer.checkpoint_every=2", "trainer.max_seconds=0")
    slow = ("method.ToyFace.delay=1.0",)
    driver = subprocess.Popen(command(*base, *budget, *slow), cwd=folder, env=environment(folder), start_new_session=True)
    wait_for(lambda: list((folder / "driver" / "work").glob("*/checkpoints/step_*")), 240)
    driver.send_signal(signal.SIGKILL)
    driver.wait(30)
    time.sleep(3)
    assert ResultStore(str(folder / "driver")).runs().empty
    run(folder, *base, *budget, *slow, "--resume")
    calm = scores(folder, "calm") if (folder / "calm").exists() else None
    if calm is None:
        run(folder, *base[:-1], *budget, "results=calm")
        calm = scores(folder, "calm")
    assert scores(folder, "driver") == calm
    curve = ResultStore(str(folder / "driver")).curves()
    steps = curve.step[curve.name == "loss"].tolist()
    assert steps == sorted(set(steps))


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        pytest.param(signal.SIGTERM, 143, "terminated", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_it_without_a_row_and_says_how_to_go_on(
    number: signal.Signals, code: int, word: str, folder: Path
) -> None:
    """Regression test: stopped runs got rows with `no_resources: never placed`, and the exit code was 1."""
    base = ("benchmark", "suite=face", "tier=smoke", "methods=[toy_faces:ToyFace]", *HEADS, "seeds=2", f"results={word}")
    budget = ("trainer.max_steps=200", "trainer.batch_size=4", "trainer.checkpoint_every=2", "trainer.max_seconds=0")
    driver = subprocess.Popen(
        command(*base, *budget, "method.ToyFace.delay=1.0"),
        cwd=folder, env=environment(folder), start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: list((folder / word / "work").glob("*/checkpoints/step_*")), 240)
    began = time.monotonic()
    driver.send_signal(number)
    _, told = driver.communicate(timeout=60)
    assert driver.returncode == code, told
    assert time.monotonic() - began < 30
    assert "Traceback" not in told
    last = " ".join(told.splitlines()[-1:])
    assert last == f"deep3dmap: {word}; 0 of 2 runs are stored: run the same command with --resume to continue with the others"
    assert ResultStore(str(folder / word)).runs(newest_only=False).empty


def wait_for(condition: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)

"""Curves logged to trackers: TensorBoard's files are read back, W&B and MLflow are replaced by recording modules."""

import shutil
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from deep3dmap.cli.train import compose
from deep3dmap.core import UserError
from deep3dmap.frameworks import TrainLoop
from deep3dmap.runs.planning import plan_run
from deep3dmap.testing import Subject
from deep3dmap.testing.method_under_test import OwnProcessHost
from deep3dmap.train.checkpoints import CheckpointFolder
from deep3dmap.train.curve_writer import read_curves
from deep3dmap.train.session import TrainingSession
from deep3dmap.train.trackers import trackers

TOY, WORLD = "toys:Regression/mini", "toys:Dots"
RUN = [f"method={TOY}", f"dataset={WORLD}"]


def train(folder: Path, names: str, steps: int, stop_after: int = 0) -> None:
    subject = Subject(TOY, folder, WORLD, (f"trackers={names}",))
    subject.train("run", steps, stop_after, evaluate_every=5)


def events(folder: Path) -> list[Any]:
    """Read the event files of a folder, oldest first: length, its checksum, the event, its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    def in_file(data: bytes) -> Iterator[Any]:
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            yield Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]

    files = sorted(folder.glob("events.out.tfevents.*"), key=lambda file: file.stat().st_mtime_ns)
    return [event for file in files for event in in_file(file.read_bytes())]


def points(folder: Path) -> list[tuple[int, str, float]]:
    """Return what TensorBoard would show: the start of a session discards points at its step and later."""
    from tensorboardX.proto.event_pb2 import SessionLog

    shown: list[tuple[int, str, float]] = []
    for event in events(folder):
        if event.session_log.status == SessionLog.START:
            shown = [point for point in shown if point[0] < event.step]
        shown += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
    return shown


def curves(folder: Path) -> list[tuple[int, str, Any]]:
    return [(row["step"], row["name"], pytest.approx(row["value"])) for row in read_curves(folder / "curves.jsonl")]


def test_tensorboard_shows_the_curves_also_after_a_resume(tmp_path: Path) -> None:
    # The points of steps 6 and 7, logged by a process that died, are logged again: the remaining checkpoint is that of step 5.
    checkpoints = tmp_path / "run" / "checkpoints"
    train(tmp_path, "[tensorboard]", 12, stop_after=5)
    shutil.copytree(checkpoints, tmp_path / "of step 5")
    train(tmp_path, "[tensorboard]", 12, stop_after=2)
    assert CheckpointFolder(checkpoints).list_complete()[-1].step == 7
    shutil.rmtree(checkpoints)
    (tmp_path / "of step 5").rename(checkpoints)
    train(tmp_path, "[tensorboard]", 12)
    told = points(tmp_path / "run" / "tensorboard")
    assert sorted(told) == sorted(curves(tmp_path / "run"), key=lambda point: point[:2])
    assert {name for _, name, _ in told} == {"loss", "l2", "learning_rate", "validation_loss"}
    assert [step for step, name, _ in told if name == "loss"] == list(range(1, 13))


def test_off_writes_nothing_and_only_rank_0_tells(tmp_path: Path) -> None:
    train(tmp_path, "[]", 3)
    assert not (tmp_path / "run" / "tensorboard").exists()
    job = Subject(TOY, tmp_path, WORLD, ("trackers=[tensorboard]",)).job("other", max_steps=3)
    for rank, told in ((1, False), (0, True)):
        loop = TrainLoop(OwnProcessHost(), job.settings(), job.build_dataset().split("train"))
        loop.rank = rank
        TrainingSession(job.build_method(), loop, Path(job.folder), job.about()).run()
        assert (tmp_path / "other" / "tensorboard").exists() == told


def test_trackers_are_no_part_of_a_run(tmp_path: Path) -> None:
    plain, tracked = (plan_run(compose([*RUN, *more]), tmp_path).run_id for more in ((), ("trackers=[tensorboard]",)))
    assert plain == tracked


def test_unknown_and_absent_are_told_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="unknown tracker 'tensorbord'; did you mean 'tensorboard'"):
        plan_run(compose([*RUN, "trackers=[tensorbord]"]), tmp_path)
    for name in ("wandb", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(UserError, match=rf"^trackers=\[{name}\] needs the package '{name}'; pip install {name}$"):
            plan_run(compose([*RUN, f"trackers=[{name}]"]), tmp_path)


@dataclass
class FakeWandb:
    """The part of wandb that is used; an unknown keyword would be a TypeError in wandb too."""

    begun: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)
    finished: int = 0

    def init(self, *, project: str, id: str, name: str, dir: str, config: dict[str, Any], resume: str, reinit: str) -> Any:
        self.begun.append({"project": project, "id": id, "config": config, "resume": resume})
        return SimpleNamespace(define_metric=lambda name, step_metric=None: None, log=self.rows.append, finish=self.finish)

    def finish(self) -> None:
        self.finished += 1


def test_wandb_goes_on_with_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)  # type: ignore[arg-type]
    train(tmp_path, "[wandb]", 8, stop_after=4)
    train(tmp_path, "[wandb]", 8)
    assert [(begun["project"], begun["id"], begun["resume"]) for begun in wandb.begun] == [("deep3dmap", "run", "allow")] * 2
    assert wandb.begun[0]["config"]["trainer"]["max_steps"] == 8
    assert [row["optimisation_step"] for row in wandb.rows if "loss" in row] == list(range(1, 9))
    assert wandb.finished == 2


class FakeMlflowClient:
    """The part of MLflow's client that is used."""

    runs: dict[str, dict[str, Any]]

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def create_experiment(self, name: str) -> str:
        return f"experiment {name}"

    def create_run(self, experiment_id: str, *, run_name: str, tags: dict[str, str]) -> Any:
        found = f"run {len(self.runs)}"
        self.runs[found] = {"experiment": experiment_id, "uri": self.uri, "points": [], "params": {}, "ended": 0, **tags}
        return SimpleNamespace(info=SimpleNamespace(run_id=found))

    def log_param(self, run_id: str, key: str, value: Any) -> None:
        self.runs[run_id]["params"][key] = value

    def log_metric(self, run_id: str, key: str, value: float, *, step: int) -> None:
        self.runs[run_id]["points"].append((step, key))

    def set_terminated(self, run_id: str) -> None:
        self.runs[run_id]["ended"] += 1


def test_mlflow_goes_on_with_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("mlflow")
    module.MlflowClient = FakeMlflowClient
    FakeMlflowClient.runs = {}
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    train(tmp_path, "[mlflow]", 8, stop_after=4)
    train(tmp_path, "[mlflow]", 8)
    (run,) = FakeMlflowClient.runs.values()
    assert run["experiment"] == "experiment deep3dmap"
    assert run["uri"] == f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}"
    assert run["deep3dmap.run_id"] == "run"
    assert run["params"]["trainer.max_steps"] == 8
    assert [step for step, name in run["points"] if name == "loss"] == list(range(1, 9))
    assert run["ended"] == 2


class Failing:
    """A tracker whose server goes away at step 3."""

    package = "json"

    def __init__(self, run: Any) -> None:
        self.heard: list[int] = []
        Failing.last = self

    last: "Failing"

    def log(self, step: int, values: Any) -> None:
        if step == 3:
            raise ConnectionError("gone")
        self.heard.append(step)

    def close(self) -> None:
        raise AssertionError("a tracker that failed is not spoken to again")


def test_a_plug_that_fails_costs_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(trackers._added, "failing", Failing)
    with pytest.warns(UserWarning, match="tracker 'failing' failed and is no longer used: gone"):
        train(tmp_path, "[failing]", 6)
    assert Failing.last.heard == [1, 2]
    assert read_curves(tmp_path / "run" / "curves.jsonl")[-1]["step"] == 6

"""The row of a training run describes the process that trained, not the one that waited for it."""

import time
from pathlib import Path
from typing import Any

import pytest

from deep3dmap.config.compose import Layer, compose_run
from deep3dmap.core import DivergedError, UserError
from deep3dmap.results.store import ResultStore
from deep3dmap.runs import training_run
from deep3dmap.runs.retrying_store import RetryingStore
from deep3dmap.runs.training_run import TrainingRun, plan_training
from deep3dmap.train.session import TrainingSummary


@pytest.fixture
def planned(tmp_path: Path) -> TrainingRun:
    layer = Layer("test", ("trainer.max_steps=2",))
    return plan_training(compose_run("toys:Regression/mini", "toys:Dots", (layer,)), tmp_path / "results" / "work")


def test_the_row_says_what_trained_where(tmp_path: Path, planned: TrainingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = TrainingSummary(2, 1.5, device="A GPU", parameters=12, peak_ram_mb=1.25, peak_gpu_mb=3.5)
    monkeypatch.setattr(training_run, "train", lambda *_: summary)
    store = ResultStore(str(tmp_path / "results"))
    planned.execute(store)
    row = store.runs().iloc[0]
    assert (row.device, row.parameters, row.peak_ram_mb, row.peak_gpu_mb) == ("A GPU", 12, 1.25, 3.5)


def test_the_row_of_a_failure_claims_nothing_of_it(
    tmp_path: Path, planned: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: object) -> None:
        raise DivergedError("the loss is not finite at step 1: loss=nan")

    monkeypatch.setattr(training_run, "train", diverge)
    store = ResultStore(str(tmp_path / "results"))
    with pytest.raises(UserError, match="diverged"):
        planned.execute(store)
    row = store.runs().iloc[0]
    assert (row.status, row.device, row.parameters, row.peak_ram_mb) == ("diverged", "", 0, 0.0)


def test_the_attempt_is_numbered_once_the_run_is_held(
    tmp_path: Path, planned: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([1.0, 2.0])
    monkeypatch.setattr(training_run, "train", lambda *_: TrainingSummary(2, next(seconds)))
    store, other = (ResultStore(str(tmp_path / "results")) for _ in range(2))
    lease = RetryingStore.lease

    def late(self: RetryingStore, run_ids: list[str]) -> Any:
        # Another command finishes the same run immediately before this one acquires the lease.
        monkeypatch.setattr(RetryingStore, "lease", lease)
        planned.execute(other)
        return lease(self, run_ids)

    monkeypatch.setattr(RetryingStore, "lease", late)
    planned.execute(store)
    assert len(store.runs(newest_only=False)) == 2
    assert list(store.runs().train_s) == [2.0]


def test_a_training_is_named_by_what_it_trains(planned: TrainingRun) -> None:
    assert planned.plan.title == "toys:Regression/mini · toys:Dots/default · seed 0"


def test_a_run_that_was_taken_over_meanwhile_is_told_of(
    tmp_path: Path, planned: TrainingRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store, taken = ResultStore(str(tmp_path / "results")), []
    lease = RetryingStore.lease
    monkeypatch.setattr(RetryingStore, "lease", lambda self, run_ids: taken.append(lease(self, run_ids, 0.2)) or taken[-1])

    def sleep(*_: object) -> TrainingSummary:
        # Simulate a suspended machine: the lease is not renewed, another process takes over the run, and this one wakes up.
        taken[0]._released.set()
        time.sleep(0.3)
        with store.lease([planned.plan.run_id], 0.2) as other:
            assert other.held
            taken[0].renew_all()
        return TrainingSummary(2, 1.5)

    monkeypatch.setattr(training_run, "train", sleep)
    planned.execute(store)
    assert f"another process took over run {planned.plan.run_id}" in capsys.readouterr().err


def test_a_run_that_another_process_works_on_is_left_alone(
    tmp_path: Path, planned: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_run, "train", lambda *_: TrainingSummary(2, 1.5))
    store = ResultStore(str(tmp_path / "results"))
    checkpoint = planned.folder / "checkpoints" / "step_000000001"
    checkpoint.mkdir(parents=True)
    with store.lease([planned.plan.run_id]):
        for restart in (False, True):
            with pytest.raises(UserError, match=r"process \d+ on .* is already working on this run"):
                planned.execute(store, restart)
    assert checkpoint.is_dir()
    assert store.runs().empty
    planned.execute(store, restart=True)
    assert not planned.folder.exists()
    assert len(store.runs()) == 1

"""What a trial of a sweep reports, and how it ends: every failure becomes an outcome with a status for what to do about it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from deep3dmap.core.errors import DivergedError, UserError
from deep3dmap.train.failures import NoResourcesError
from deep3dmap.tune import sweep_trial
from deep3dmap.tune.journal import TrialRecord
from deep3dmap.tune.plan import SweepPlan
from deep3dmap.tune.sweep_trial import EVALUATION, SweepHost, TrialOrder, run_trial

Planner = Callable[..., SweepPlan]


@pytest.mark.parametrize(
    ("error", "status", "is_for_users"),
    [
        (NoResourcesError("no resources: asked for 8 GPUs"), "no_resources", True),
        (DivergedError("step 3: the loss is nan"), "diverged", True),
        (UserError("method.width is 1 or more"), "failed", True),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory", False),
        (MemoryError("a worker ran out of memory"), "out_of_memory", False),
        (ValueError("shapes differ"), "failed", False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_failure_is_an_outcome(
    error: Exception, status: str, is_for_users: bool, planned: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(sweep_trial, "_train", fail)
    outcome = run_trial(planned().run, TrialOrder("loss", ""))
    assert outcome["status"] == status
    assert outcome["error"].endswith(str(error))
    assert outcome["error"].startswith("Traceback") != is_for_users
    assert TrialRecord(0, {}, status=status).has_ended


@pytest.mark.parametrize(
    ("losses", "sent_at", "steps"),
    [
        ([5.0, 3.0, 4.0, 4.5], (1, 4), [1, 2, 4]),  # the best is sent before the next report
        ([5.0, 4.0, 3.0, 2.0], (1, 3), [1, 3, 4]),  # at the end, if no report came after it
        ([1.0, 2.0, 3.0, 4.0], (1,), [1]),
        ([float("nan"), 2.0, 3.0, 4.0], (1,), [1, 2]),
    ],
)
def test_the_best_evaluation_is_reported_however_fast_the_trial_is(
    losses: list[float], sent_at: tuple[int, ...], steps: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ray import tune

    clock, reported = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr(tune, "report", lambda report, checkpoint: reported.append(report[EVALUATION]["step"]))
    host: Any = SweepHost("cpu", tmp_path / "stop", None)
    for step, loss in enumerate(losses, start=1):
        clock[0] += 1.0 if step in sent_at else 0.01
        host.report({"step": step, "validation_loss": loss})
    host.send_best()
    assert reported == steps
    assert host.last["step"] == len(losses)

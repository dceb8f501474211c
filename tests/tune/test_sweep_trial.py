"""How a trial of a sweep ends: every failure becomes an outcome with a status that indicates what to do about it."""

from collections.abc import Callable

import pytest
import torch

from deep3dmap.core.errors import DivergedError, UserError
from deep3dmap.train.failures import NoResourcesError
from deep3dmap.tune import sweep_trial
from deep3dmap.tune.journal import TrialRecord
from deep3dmap.tune.plan import SweepPlan
from deep3dmap.tune.sweep_trial import TrialOrder, run_trial

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

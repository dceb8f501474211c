"""Training in Ray Train workers: one, two, and one that is killed."""

from pathlib import Path

import pytest
import torch
from loss_curves import loss_curve

from deep3dmap.core import DivergedError, UserError
from deep3dmap.testing import Subject
from deep3dmap.train import ray_runtime
from deep3dmap.train.checkpoints import CheckpointFolder
from deep3dmap.train.trainer import train_on_workers

pytestmark = pytest.mark.ray
WORLD = "toys:Dots"


@pytest.fixture(scope="module", autouse=True)
def ray() -> None:
    """Ray, left running for the following modules, because a second Ray in the same process could not train."""
    ray_runtime.connect(cpus=4, dashboard=False)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found = CheckpointFolder(folder / "checkpoints").newest()
    assert found is not None
    return found[1]["method"]


def test_nothing_watches_whether_this_machine_is_taken_away() -> None:
    from ray.train.v2._internal.constants import ENABLE_PREEMPTION_WATCHER_ENV_VAR, get_env_vars_to_propagate

    assert get_env_vars_to_propagate()[ENABLE_PREEMPTION_WATCHER_ENV_VAR] == "0"


def test_two_workers_end_where_one_does(tmp_path: Path) -> None:
    subject = Subject("toys:Regression/mini", tmp_path, WORLD, ("method.dropout=0.0", "optimizer.lr=0.0001"))
    for run, workers, accumulate in (("one", 1, 1), ("two", 2, 1), ("two-accumulated", 2, 2)):
        summary = train_on_workers(subject.job(run, max_steps=12, workers=workers, accumulate=accumulate), tmp_path / "ray")
        assert summary.steps == 12
        assert summary.metrics["validation_loss"] > 0
    for other in ("two", "two-accumulated"):
        for name, value in weights(tmp_path / "one").items():
            torch.testing.assert_close(weights(tmp_path / other)[name], value, atol=1e-5, rtol=1e-5)
        alone, shared = ([loss for _, loss in loss_curve(tmp_path / run)] for run in ("one", other))
        assert shared == pytest.approx(alone, rel=1e-5)


def test_a_killed_worker_resumes_to_the_same_end(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    calm = Subject("toys:Regression/mini", tmp_path, WORLD)
    train_on_workers(calm.job("calm", max_steps=10, checkpoint_every=2), tmp_path / "ray")
    subject = Subject("toys:KilledOnce/mini", tmp_path, WORLD, (f"method.mark='{mark}'",))
    summary = train_on_workers(subject.job("killed", max_steps=10, checkpoint_every=2), tmp_path / "ray")
    assert mark.exists()
    assert summary.steps == 10
    assert loss_curve(tmp_path / "killed") == loss_curve(tmp_path / "calm")
    for name, value in weights(tmp_path / "calm").items():
        assert torch.equal(weights(tmp_path / "killed")[name], value), name


def test_mistakes_and_divergence_are_not_retried(tmp_path: Path) -> None:
    diverging = Subject("toys:Regression/mini", tmp_path, WORLD, ("dataset.nan_after=3",))
    with pytest.raises(DivergedError, match="not finite"):
        train_on_workers(diverging.job("nan", max_steps=6), tmp_path / "ray")
    greedy = Subject("toys:Regression/mini", tmp_path, WORLD)
    with pytest.raises(UserError, match=r"trainer\.batch_size=64"):
        train_on_workers(greedy.job("greedy", max_steps=2, batch_size=64), tmp_path / "ray")


def test_an_elastic_batch_is_shared_out_by_any_number_of_workers(tmp_path: Path) -> None:
    subject = Subject("toys:Regression/mini", tmp_path, WORLD)
    uneven = subject.job("uneven", max_steps=2, workers=4, min_workers=3, batch_size=8)
    with pytest.raises(UserError, match=r"trainer\.batch_size=8 must be a multiple of 3, 4 .*; 12 is"):
        train_on_workers(uneven, tmp_path / "ray")
    with pytest.raises(UserError, match=r"trainer\.min_workers=3: must be at most trainer\.workers=2"):
        train_on_workers(subject.job("few", max_steps=2, workers=2, min_workers=3), tmp_path / "ray")

"""A resumed run continues the loss curve of an uninterrupted one bit for bit, whatever the loop does around the steps."""

import shutil
from pathlib import Path

import pytest
import torch
from loss_curves import loss_curve

from deep3dmap.core import DivergedError, UserError
from deep3dmap.testing import Subject
from deep3dmap.train.checkpoints import CheckpointFolder

TOY = "toys:Regression/mini"
WORLD = "toys:Dots"
ABOUT = {"method": "toy", "seconds": 0.0, "metrics": {}}


@pytest.mark.parametrize(
    "trainer",
    [
        {},
        {"accumulate": 2},
        {"ema_decay": 0.9, "clip_norm": 1.0},
        {"precision": "bf16"},
        {"loader_workers": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", [TOY, "toys:TwoOptimizers/mini"])
def test_resumed_equals_unbroken(tmp_path: Path, method: str, trainer: dict[str, object]) -> None:
    subject = Subject(method, tmp_path, WORLD, ("schedule.name=cosine", "schedule.warmup_steps=3", "trainer.max_steps=11"))
    unbroken, _ = subject.train("unbroken", 11, **trainer)
    # The cosine depends on the budget, so the first half is stopped at a step rather than by a smaller budget.
    subject.train("resumed", 11, stop_after=7, **trainer, checkpoint_every=4)
    assert CheckpointFolder(tmp_path / "resumed" / "checkpoints").list_complete()[-1].step == 7
    resumed, summary = subject.train("resumed", 11, **trainer, checkpoint_every=4)
    assert summary.steps == 11
    assert loss_curve(tmp_path / "unbroken") == loss_curve(tmp_path / "resumed")
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_killed_in_mid_write_resumes_from_the_one_before(tmp_path: Path) -> None:
    subject = Subject(TOY, tmp_path, WORLD)
    unbroken, _ = subject.train("unbroken", 8)
    subject.train("killed", 8, stop_after=5, checkpoint_every=2)
    checkpoints = CheckpointFolder(tmp_path / "killed" / "checkpoints")
    state = checkpoints.list_complete()[-1].folder / "state.pt"
    state.write_bytes(state.read_bytes()[: state.stat().st_size // 2])
    resumed, _ = subject.train("killed", 8)
    assert torch.equal(unbroken.layers[1].weight, resumed.layers[1].weight)
    assert loss_curve(tmp_path / "killed")[-1] == loss_curve(tmp_path / "unbroken")[-1]


def test_the_best_and_the_last_two_are_kept(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path)
    for step, score in ((1, 3.0), (2, 1.0), (3, 2.0), (4, 5.0), (5, 4.0)):
        folder.write({"w": torch.ones(2)}, ABOUT, step, score)
    assert [checkpoint.step for checkpoint in folder.list_complete()] == [2, 4, 5]
    best = folder.best()
    assert best is not None
    assert best.step == 2


def test_nan_loss_stops_the_run_and_names_step_and_terms(tmp_path: Path) -> None:
    subject = Subject(TOY, tmp_path, WORLD, ("dataset.nan_after=3",))
    with pytest.raises(DivergedError, match=r"step \d+: loss=nan, l2=nan"):
        subject.train("nan", 6)


def test_a_run_without_budget_is_refused(tmp_path: Path) -> None:
    subject = Subject(TOY, tmp_path, WORLD)
    with pytest.raises(UserError, match=r"max_steps"):
        subject.train("endless", None)  # type: ignore[arg-type]


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_a_run_that_has_spent_its_time_takes_no_further_step(tmp_path: Path, decay: float) -> None:
    subject = Subject(TOY, tmp_path, WORLD)
    first, cut = subject.train("late", None, max_seconds=1e-9, ema_decay=decay)  # type: ignore[arg-type]
    again, resumed = subject.train("late", None, max_seconds=1e-9, ema_decay=decay)  # type: ignore[arg-type]
    assert (cut.steps, resumed.steps) == (1, 1)
    assert cut.cut_short == resumed.cut_short == "cut short at step 1 by trainer.max_seconds=1e-09"
    assert cut.metrics == resumed.metrics
    assert torch.equal(first.layers[1].weight, again.layers[1].weight)


def test_an_average_that_no_validation_has_seen_is_not_lost_to_the_time_that_is_spent(tmp_path: Path) -> None:
    subject = Subject(TOY, tmp_path, WORLD)
    subject.train("late", 6, stop_after=3, checkpoint_every=2, ema_decay=0.9)
    checkpoints = CheckpointFolder(tmp_path / "late" / "checkpoints")
    shutil.rmtree(checkpoints.list_complete()[-1].folder)
    assert [checkpoint.step for checkpoint in checkpoints.list_complete()] == [2]
    subject.train("late", 6, max_seconds=1e-9, ema_decay=0.9)
    newest = checkpoints.newest()
    assert newest is not None
    assert newest[1]["averaged"] is not None


def test_a_batch_that_is_larger_than_the_data_is_told_of_where_epochs_are_the_budget(tmp_path: Path) -> None:
    subject = Subject(TOY, tmp_path, WORLD, ("dataset.samples=3",))
    with pytest.raises(UserError, match=r"trainer\.batch_size=64 is more than the 3 training samples"):
        subject.train("greedy", None, max_epochs=1, batch_size=64)  # type: ignore[arg-type]


def test_initialize_from_refuses_another_method(tmp_path: Path) -> None:
    subject = Subject(TOY, tmp_path, WORLD)
    subject.train("first", 2)
    checkpoint = CheckpointFolder(tmp_path / "first" / "checkpoints").list_complete()[-1].folder
    other = Subject("toys:TwoOptimizers/mini", tmp_path, WORLD, (f"trainer.initialize_from='{checkpoint}'",))
    with pytest.raises(UserError, match="a checkpoint of 'toys:Regression'"):
        other.train("second", 2)


def test_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    folder = CheckpointFolder(tmp_path / "checkpoints")
    folder.write({"w": torch.ones(2)}, ABOUT, 1, None)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        folder.write({"w": torch.ones(2)}, ABOUT, 2, None)
    assert [path.name for path in folder.folder.iterdir()] == ["step_000000001"]

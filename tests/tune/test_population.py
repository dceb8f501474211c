"""Continuing from another trial's checkpoint: with its weights and step, but the trial's own settings."""

from pathlib import Path

import pytest
import torch

from deep3dmap.testing import Subject
from deep3dmap.train.checkpoints import CheckpointFolder
from deep3dmap.train.curve_writer import read_curves
from deep3dmap.tune.population import copy_donor_checkpoint
from deep3dmap.tune.schedulers import clamp_to_bounds
from deep3dmap.tune.search_space import parse_space


def test_a_trial_goes_on_from_anothers_weights_with_its_own_settings(tmp_path: Path) -> None:
    donor = Subject("toys:Regression/mini", tmp_path, "toys:Dots", ("optimizer.lr=0.01", "schedule.name=cosine"))
    heir = Subject("toys:Regression/mini", tmp_path, "toys:Dots", ("optimizer.lr=0.04", "optimizer.weight_decay=0.5"))
    donor.train("donor", 6)
    heir.train("heir", 3)
    job = heir.job("heir", max_steps=9)
    given = CheckpointFolder(tmp_path / "donor" / "checkpoints").list_complete()[-1]
    assert copy_donor_checkpoint(job, given.folder)

    found = CheckpointFolder(Path(job.folder) / "checkpoints").newest()
    assert found is not None
    checkpoint, state = found
    assert checkpoint.step == 6
    assert checkpoint.about["config"]["optimizer"]["lr"] == 0.04
    for name, weight in given.state()["method"].items():
        assert torch.equal(state["method"][name], weight)
    _, summary = heir.train("heir", 9)
    assert summary.steps == 9
    rates = [p["value"] for p in read_curves(tmp_path / "heir" / "curves.jsonl") if p["name"] == "learning_rate"]
    assert rates[-1] == pytest.approx(0.04)


def test_a_trial_that_is_handed_its_own_checkpoint_keeps_its_folder(tmp_path: Path) -> None:
    subject = Subject("toys:Regression/mini", tmp_path, "toys:Dots")
    subject.train("own", 4)
    job = subject.job("own", max_steps=8)
    own = CheckpointFolder(Path(job.folder) / "checkpoints").list_complete()[-1]
    assert not copy_donor_checkpoint(job, own.folder)
    assert CheckpointFolder(Path(job.folder) / "checkpoints").list_complete()[-1].about == own.about


def test_settings_that_are_perturbed_stay_in_the_space() -> None:
    space = parse_space(
        {"optimizer.lr": "loguniform(1e-3,1e-2)", "method.hidden": "randint(2,8)"}, {"optimizer.lr": 1e-3, "method.hidden": 8}
    )
    kept = clamp_to_bounds(space, {"trial": 3, "optimizer.lr": 0.012, "method.hidden": 10})
    assert kept["trial"] == 3
    assert space.contains({key: kept[key] for key in space.parameters})
    assert clamp_to_bounds(space, {"optimizer.lr": 0.0001, "method.hidden": 5}) == {"optimizer.lr": 1e-3, "method.hidden": 5}

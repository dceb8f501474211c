"""Damaged or mismatching checkpoints: one line that names the file, and no silent fresh start."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from deep3dmap.cli import main
from deep3dmap.core import UserError
from deep3dmap.frameworks.saved_checkpoints import read_checkpoint
from deep3dmap.testing import Subject
from deep3dmap.train.checkpoints import CheckpointFolder
from deep3dmap.train.curve_writer import read_curves

TOY, WORLD = "toys:Regression/mini", "toys:Dots"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = Subject(TOY, tmp_path_factory.mktemp("trained"), WORLD)
    found.train("run", 4, checkpoint_every=2)
    return found.folder


@pytest.fixture
def subject(trained: Path, tmp_path: Path) -> Subject:
    """A toy method after four steps, with checkpoints at steps 2 and 4."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    found = Subject(TOY, tmp_path, WORLD)
    assert [checkpoint.step for checkpoint in folder_of(found).list_complete()] == [2, 4]
    return found


def folder_of(subject: Subject) -> CheckpointFolder:
    return CheckpointFolder(subject.folder / "run" / "checkpoints")


def cut(folder: Path) -> None:
    state = folder / "state.pt"
    state.write_bytes(state.read_bytes()[:100])


def stored(folder: Path, data: bytes) -> None:
    """Replace the state with other bytes, and update the hash."""
    (folder / "state.pt").write_bytes(data)
    described(folder, state_sha256=hashlib.sha256(data).hexdigest())


def described(folder: Path, **changed: Any) -> None:
    about = json.loads((folder / "checkpoint.json").read_text())
    about = {name: value for name, value in {**about, **changed}.items() if value is not ...}
    (folder / "checkpoint.json").write_text(json.dumps(about))


def saved(folder: Path, **changed: Any) -> None:
    """Store the state again, with some of its parts changed and a valid hash."""
    state = torch.load(folder / "state.pt", weights_only=True)
    torch.save({**state, **changed}, folder / "again.pt")
    stored(folder, (folder / "again.pt").read_bytes())


@pytest.mark.parametrize(
    "damage", [cut, lambda folder: (folder / "checkpoint.json").write_text("{"), lambda f: stored(f, b"x")]
)
def test_the_one_before_is_used_and_a_fresh_start_is_refused(damage: Callable[[Path], Any], subject: Subject) -> None:
    damage(folder_of(subject).list_complete()[-1].folder)
    newest = folder_of(subject).newest()
    assert newest is not None
    assert newest[0].step == 2
    first = subject.folder / "run" / "checkpoints" / "step_000000002"
    damage(first)
    with pytest.raises(UserError, match="all checkpoints are damaged; delete the folder to start over") as caught:
        subject.train("run", 6)
    assert "\n" not in str(caught.value)
    assert first.is_dir()


STATES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "garbage": (lambda folder: stored(folder, b"no state"), "contains something other than tensors and plain data"),
    "garbage in a zip": (lambda folder: stored(folder, b"PK\x03\x04" + bytes(60)), "something other than tensors"),
    "nothing": (lambda folder: stored(folder, b""), "contains something other than tensors and plain data"),
    "no file": (lambda folder: (folder / "state.pt").unlink(), "state.pt: No such file"),
    "weights of another shape": (
        lambda folder: saved(folder, method={"layers.1.weight": torch.zeros(3)}),
        "its weights do not fit this configuration",
    ),
    "a tensor for weights": (lambda folder: saved(folder, method=torch.zeros(3)), "'method' is missing or has the wrong type"),
    "a tensor for an average": (lambda folder: saved(folder, averaged=torch.zeros(3)), "'averaged' is missing or has"),
}
ABOUTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a list": (lambda folder: (folder / "checkpoint.json").write_text("[]"), "checkpoint schema unknown"),
    "too deep": (lambda folder: (folder / "checkpoint.json").write_text("[" * 100_000), "checkpoint.json: damaged"),
    "no step": (lambda folder: described(folder, step=...), "field 'step' is missing"),
    "a word for a score": (lambda folder: described(folder, score="good"), "field 'score' is missing or has the wrong type"),
    "no configuration": (lambda folder: described(folder, config=...), "field 'config' is missing"),
    "a number for a method": (lambda folder: described(folder, method=3), "field 'method' is missing or has the wrong type"),
    "no dataset": (lambda folder: described(folder, dataset=...), "field 'dataset' is missing"),
}


# In `evaluate`, a damaged state is found only during the run, and reported in its row.
@pytest.mark.parametrize(
    ("verb", "name"), [*(("reconstruct", name) for name in (*STATES, *ABOUTS)), *(("evaluate", name) for name in ABOUTS)]
)
def test_every_damage_is_one_line_for_who_uses_the_checkpoint(
    verb: str, name: str, subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = folder_of(subject).list_complete()[-1].folder
    damage, says = {**STATES, **ABOUTS}[name]
    damage(folder)
    photo = tmp_path / "photo.png"
    photo.touch()
    rest = [str(photo), "-o", "out"] if verb == "reconstruct" else ["suite=face", "results=store"]
    assert (
        main([verb, str(folder), *rest, "method=toys:Regression" if verb == "reconstruct" else "methods=toys:Regression"]) == 2
    )
    told = capsys.readouterr().err
    assert says in told
    assert str(folder) in told
    assert told.count("\n") == 1


def test_a_checkpoint_without_a_score_is_no_worse_than_others(subject: Subject) -> None:
    for checkpoint in folder_of(subject).list_complete():
        described(checkpoint.folder, score=...)
    best = folder_of(subject).best()
    assert best is not None
    assert best.step == 4
    assert read_checkpoint(best.folder).about["score"] is None


def test_a_state_that_says_nothing_of_optimisers_is_refused(subject: Subject) -> None:
    saved(folder_of(subject).list_complete()[-1].folder, loop={})
    with pytest.raises(UserError, match=r"step_000000004: state\.pt contains no optimiser state"):
        subject.train("run", 6)


def test_a_resume_after_the_last_step_doubles_no_point_of_the_curves(subject: Subject) -> None:
    """Regression test: every resume repeated the final validation, and added its point to the curves."""
    for _ in range(2):
        subject.train("run", 4, checkpoint_every=2)
    points = [(row["name"], row["step"]) for row in read_curves(subject.folder / "run" / "curves.jsonl")]
    assert ("validation_loss", 4) in points
    assert len(points) == len(set(points))

"""Every registered method passes the contract, and the contract detects violations."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.cli import main
from deep3dmap.core import Camera, Method, MethodCard, Reconstruction, Step, methods
from deep3dmap.core.options import option
from deep3dmap.testing import CHECKS, MethodContract, Subject, ViolationError, method_under_test

# Small datasets, generated once per session for all methods.
SMALL = {
    "clevr": ("dataset.train=8", "dataset.val=1", "dataset.test=2"),
    "heads": ("dataset.train=16", "dataset.val=4", "dataset.test=2"),
    "face_depth": ("dataset.train=12", "dataset.val=4", "dataset.test=8"),
    "bodies": ("dataset.train=6", "dataset.val=2", "dataset.test=2"),
    "multiview_heads": ("dataset.train=6", "dataset.val=2", "dataset.test=2"),
    "objects": tuple(
        f"dataset.{text}" for text in ("objects=1", "train_views=6", "val_views=1", "test_views=1", "image_size=24")
    ),
    "rooms": tuple(f"dataset.{text}" for text in ("train=1", "test=1", "frames=9", "width=64", "height=48", "mesh_edge=0.1")),
}
# The cost check only measures and cannot fail.
QUICK = [name for name in CHECKS if name not in ("two workers", "cost")]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("name", [name for name in methods.names() if name != "broken_forgetful"])
def test_every_method_passes(name: str, cache: Path, tmp_path: Path) -> None:
    world = Subject(name, tmp_path).dataset_choice
    overrides = (*SMALL[world.partition("/")[0]], f"data.cache='{cache}'")
    subject = Subject(name, tmp_path, world, overrides)
    subject.dataset.prepare()
    for check in QUICK:
        assert CHECKS[check](subject), check


class TestToy(MethodContract):
    method = "toys:Regression/mini"
    dataset = "toys:Dots"


class TestTwoPlayers(MethodContract):
    method = "two_player:TwoPlayers/mini"
    dataset = "toys:Dots"


class TestScenePoints(MethodContract):
    method = "scene_points:ScenePoints/mini"
    dataset = "toys:Dots"


@dataclass
class Nothing:
    """No options."""

    unexplained: int = option(0, "")


class Forgetful(Method):
    """A method that violates the contract in several ways."""

    card = MethodCard("Forgetful", "", 2024, "", ("face",), ("image",), ("landmarks", "mesh"), "", ("image", "landmarks_68"))
    config_type = Nothing
    variants: Any = {"mini": {}}

    def __init__(self, config: Nothing) -> None:
        self.weight = torch.rand(3)

    def train_steps(self, loop: Any) -> Any:
        for _ in range(loop.step, loop.total_steps):
            self.weight = self.weight + torch.rand(3)
            yield Step(1.0)

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        return Reconstruction("image", "pixel", landmarks=self.weight.numpy()[None])

    def state_dict(self) -> dict[str, Any]:
        return {"step": torch.zeros(1)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ("interface", "without a description"),
        ("training", "did not change"),
        ("reconstruction", "promises.*mesh"),
        ("save and load", "after save and load"),
    ],
)
def test_a_broken_method_is_caught(check: str, message: str, tmp_path: Path) -> None:
    if "broken_forgetful" not in methods.names():
        methods.add("broken_forgetful", Forgetful)
    subject = Subject("broken_forgetful", tmp_path, "toys:Dots")
    with pytest.raises(ViolationError, match=message):
        CHECKS[check](subject)
    del methods._added["broken_forgetful"]


@pytest.mark.parametrize(
    ("method", "check", "message"),
    [
        ("scene_points:Unseeded", "determinism", "differs between two runs with the same seed"),
        ("scene_points:Leaking", "exact fit", "ends in a different state"),
    ],
)
def test_what_breaks_a_fit_is_caught(method: str, check: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ViolationError, match=message):
        CHECKS[check](Subject(method, tmp_path, "toys:Dots"))


def test_a_run_is_composed_once_and_handed_out_in_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    composed: list[Any] = []
    compose = method_under_test.compose_run
    monkeypatch.setattr(method_under_test, "compose_run", lambda *given: composed.append(given) or compose(*given))  # type: ignore[func-returns-value]
    subject = Subject("toys:Regression/mini", tmp_path, "toys:Dots")
    jobs = [subject.job(run, max_steps=steps) for run, steps in (("a", 2), ("b", 2), ("c", 3))]
    assert [job.trainer.max_steps for job in jobs] == [2, 2, 3]
    assert len(composed) == 2
    jobs[0].config["trainer"]["max_steps"] = 9
    assert subject.job("d", max_steps=2).trainer.max_steps == 2


def test_renderings_are_compared_of_the_fitted_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Camera(np.eye(3), np.eye(4), 8, 6)
    monkeypatch.setattr(Subject, "cameras", lambda self: [camera])
    assert CHECKS["determinism"](Subject("scene_points:ScenePoints", tmp_path / "steady", "toys:Dots"))
    with pytest.raises(ViolationError, match="renderings differ"):
        CHECKS["determinism"](Subject("scene_points:Flickering", tmp_path / "flickering", "toys:Dots"))


@pytest.mark.ray
def test_workers_that_update_on_their_own_are_caught(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="drifted apart"):
        CHECKS["two workers"](Subject("two_player:GoesAlone", tmp_path, "toys:Dots", ("trainer.max_failures=0",)))


def test_the_report_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "toys:Regression", "dataset=toys:Dots", "--only", "determinism", "--only", "exact resume"]) == 0
    out = capsys.readouterr().out
    assert out.count("pass") == 2
    assert "bit for bit" in out

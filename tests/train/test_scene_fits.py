"""Fits to scenes: separate budget and curves, the same start for every scene, exact resume, failures that name the scene."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scene_points import ScenePoints, ScenePointsConfig
from toys import Dots, DotsConfig

from deep3dmap.config.schema import FitConfig
from deep3dmap.core import DivergedError
from deep3dmap.frameworks import LoopSettings
from deep3dmap.testing.method_under_test import OwnProcessHost
from deep3dmap.train.curve_writer import read_curves
from deep3dmap.train.local_host import LocalHost
from deep3dmap.train.scene_fits import SceneFits, fit_settings, scene_folder

SPLIT = Dots(DotsConfig()).split("test")


def fits_of(method: ScenePoints, folder: Path, host: Any = None, **fit: Any) -> SceneFits:
    settings = fit_settings(LoopSettings(), FitConfig(**{"log_every": 1, **fit}))
    return SceneFits(method, settings, host or LocalHost(torch.device("cpu")), folder, {"method": "toy"})


def make(**config: Any) -> ScenePoints:
    return ScenePoints(ScenePointsConfig(**config))


def test_a_scene_ends_the_same_whatever_came_before_it(tmp_path: Path) -> None:
    alone, after = make(), make()
    fits_of(alone, tmp_path / "alone").fit("dot-01", SPLIT[1])
    fits = fits_of(after, tmp_path / "after")
    fits.fit("dot-00", SPLIT[0])
    fits.fit("dot-01", SPLIT[1])
    assert torch.equal(alone.points, after.points)
    fits.restore()
    assert not after.points.any()


def test_a_fit_that_was_interrupted_ends_with_the_same_bits(tmp_path: Path) -> None:
    unbroken, first, second = make(), make(), make()
    fits_of(unbroken, tmp_path / "unbroken").fit("dot-00", SPLIT[0])
    # Stopped in the second stage, whose optimiser has its own state by then.
    fits_of(first, tmp_path / "resumed", OwnProcessHost(stop_after=4)).fit("dot-00", SPLIT[0])
    assert not torch.equal(first.points, unbroken.points)
    summary = fits_of(second, tmp_path / "resumed").fit("dot-00", SPLIT[0])
    assert torch.equal(second.points, unbroken.points)
    assert summary.steps == 6
    curves = [read_curves(scene_folder(tmp_path / name, "dot-00") / "curves.jsonl") for name in ("unbroken", "resumed")]
    assert [(p["step"], p["name"], p["value"]) for p in curves[0]] == [(p["step"], p["name"], p["value"]) for p in curves[1]]


def test_a_fit_that_is_finished_is_not_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, again = make(), make()
    fits_of(first, tmp_path).fit("dot-00", SPLIT[0])
    monkeypatch.setattr(torch.Tensor, "backward", lambda *_: pytest.fail("a step was taken"))
    summary = fits_of(again, tmp_path).fit("dot-00", SPLIT[0])
    assert summary.steps == 6
    assert torch.equal(first.points, again.points)


def test_a_fit_computes_as_its_run_says(tmp_path: Path) -> None:
    fits = fits_of(make(), tmp_path)
    torch.use_deterministic_algorithms(False)
    fits.fit("dot-00", SPLIT[0])
    assert torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)


def test_budgets_in_steps_and_seconds(tmp_path: Path) -> None:
    assert fits_of(make(), tmp_path / "a", max_steps=2).fit("dot-00", SPLIT[0]).steps == 2
    assert fits_of(make(), tmp_path / "b", max_steps=0).fit("dot-00", SPLIT[0]).steps == 0
    cut = fits_of(make(), tmp_path / "c", max_seconds=1e-9).fit("dot-00", SPLIT[0])
    assert cut.cut_short == "cut short at step 1 of 6 by fit.max_seconds=1e-09"
    whole = fits_of(make(), tmp_path / "d").fit("dot-00", SPLIT[0])
    assert (whole.steps, whole.cut_short) == (6, "")


def test_a_fit_that_diverges_names_step_and_scene(tmp_path: Path) -> None:
    sample = {"image": np.ones((3, 4, 4), np.float32)}
    with pytest.raises(DivergedError, match="step 1 of scene dot-00"):
        fits_of(make(diverge_on=0.9), tmp_path).fit("dot-00", sample)

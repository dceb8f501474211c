"""`deep3dmap generate`: grids, sweeps and error messages."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from deep3dmap.cli import main
from deep3dmap.core import MethodCard, Reconstruction, methods
from deep3dmap.core.options import option
from deep3dmap.frameworks import CustomFramework


@dataclass
class LevelsConfig:
    """Options of a method that generates uniform images."""

    side: int = option(4, "pixels")


class Levels(CustomFramework):
    """Sample `i` of seed `s` is uniform grey with level (i + 10 s) / 100 + shift, plus the lifts."""

    card = MethodCard("Levels", "nobody", 2026, "", ("generation",), (), ("samples",), "Apache-2.0")
    config_type = LevelsConfig
    variants = {"mini": {}}

    def generate(self, indices: range, seed: int, shift: float = 0.0, lifts: tuple[float, ...] = ()) -> Any:
        levels = torch.tensor([index + 10.0 * seed for index in indices]) / 100 + shift + sum(lifts)
        return levels[:, None, None, None].expand(-1, 3, self.config.side, self.config.side)

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        return Reconstruction("image", "pixel", samples=self.generate(range(1), 0).numpy())


@pytest.fixture(autouse=True)
def _registered() -> Any:
    methods.add("levels", Levels)
    yield
    del methods._added["levels"]


def pixels(file: Path, side: int = 96) -> np.ndarray:
    """One pixel of each sample; samples of `Levels` are enlarged to 96 pixels per side."""
    return np.asarray(Image.open(file))[::side, ::side, 0] / 255


def test_a_grid(tmp_path: Path) -> None:
    assert main(["generate", "levels", "-o", str(tmp_path / "grid.png"), "--count", "40", "--columns", "8", "seed=2"]) == 0
    expected = 0.2 + np.arange(40).reshape(5, 8) / 100
    np.testing.assert_allclose(pixels(tmp_path / "grid.png"), expected, atol=0.003)


@pytest.mark.parametrize(("scale", "side"), [("0", 96), ("1", 4), ("3", 12)])
def test_small_samples_are_enlarged_unless_told(tmp_path: Path, scale: str, side: int) -> None:
    file = tmp_path / "grid.png"
    assert main(["generate", "levels", "-o", str(file), "--count", "4", "--scale", scale]) == 0
    assert Image.open(file).size == (2 * side, 2 * side)
    np.testing.assert_allclose(pixels(file, side), [[0, 0.01], [0.02, 0.03]], atol=0.003)


def test_a_sweep_has_a_row_for_each_value(tmp_path: Path) -> None:
    file = tmp_path / "sweep.png"
    assert main(["generate", "levels", "-o", str(file), "--count", "3", "--first", "5", "--sweep", "shift=0,0.5"]) == 0
    np.testing.assert_allclose(pixels(file), [[0.05, 0.06, 0.07], [0.55, 0.56, 0.57]], atol=0.003)


def test_a_control_whose_values_are_lists_is_swept_too(tmp_path: Path) -> None:
    file = tmp_path / "sweep.png"
    assert main(["generate", "levels", "-o", str(file), "--count", "2", "--sweep", "lifts=[0.1,0.2],[],[0.5]"]) == 0
    np.testing.assert_allclose(pixels(file), [[0.3, 0.31], [0, 0.01], [0.5, 0.51]], atol=0.003)


def test_a_folder_gets_a_file_of_each_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "samples"
    assert main(["generate", "levels", "-o", str(folder), "--count", "20", "--first", "3", "shift=0.1"]) == 0
    assert capsys.readouterr().out == f"20 samples in {folder}, one file each\n"
    assert sorted(file.name for file in folder.iterdir()) == [f"{index:06d}.png" for index in range(3, 23)]
    np.testing.assert_allclose(pixels(folder / "000022.png", 4), [[0.32]], atol=0.003)


def test_controls_reach_the_method(tmp_path: Path) -> None:
    assert main(["generate", "levels", "-o", str(tmp_path / "one.png"), "--count", "1", "shift=0.3"]) == 0
    np.testing.assert_allclose(pixels(tmp_path / "one.png"), [[0.3]], atol=0.003)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["levels", "-o", "x.png", "shft=1"], "unknown control of levels 'shft'"),
        (["levels", "-o", "x.jpg"], "ending in .png"),
        (["levels", "-o", "/proc/x.png"], "-o /proc: cannot write there"),
        (["levels", "-o", "samples", "--sweep", "shift=0,1"], "--sweep writes a single picture"),
        (["levels", "-o", "x.png", "--count", "0"], "--count must be at least 1"),
        (["levels", "-o", "x.png", "--sweep", "shift"], "expected a control and its values"),
        (["levels", "-o", "x.png", "--sweep", "shift=[0,1"], "cannot read 'shift=[[0,1]'"),
        (["visual_hull", "-o", "x.png"], "generates no samples"),
        (["stylegan2", "-o", "x.png"], "must be trained first"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    paths = [str(tmp_path / text) if text.startswith("x.") else text for text in arguments]
    assert main(["generate", *paths]) == 2
    assert message in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["generate", "--help"])
    out = capsys.readouterr().out
    assert "truncation=0.7" in out
    assert "--sweep truncation=0,0.35,0.7,1" in out


def test_a_generator_reconstructs_nothing_and_its_own_verb_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    assert main(["reconstruct", "levels", str(tmp_path / "photo.png"), "-o", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "method 'levels' is a generator and does not reconstruct an input" in line
    assert "`deep3dmap generate levels -o grid.png`" in line
    assert not (tmp_path / "out").exists()

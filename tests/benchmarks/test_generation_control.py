"""The suite of controls: a generator that obeys, one that does not, and one that shows no object."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from deep3dmap.bench.suite import load_suite
from deep3dmap.benchmarks.generation_control.control_scores import control_scores
from deep3dmap.benchmarks.generation_control.pictures import SHEETS, write_control_pictures
from deep3dmap.benchmarks.generation_control.protocol import GenerationControlProtocol
from deep3dmap.core import Method, Reconstruction, UserError, WholeSet
from deep3dmap.core.registry import methods
from deep3dmap.runs.scoring import Scoring, score

SIDE, HALF = 32, 4
NAMES = {metric.name for metric in GenerationControlProtocol.card.metrics}


def squares(indices: range, obeys: bool = True, spills: bool = False, shown: bool = True, **controls: Any) -> Tensor:
    """A square on grey, at a different row for each scene, whose left half is brighter until it is rotated."""
    images = torch.full((len(indices), 3, SIDE, SIDE), 0.5)
    if controls.get("remove") or not shown:
        return images
    look = controls.get("appearance_of", -1)
    right = round(20 * controls.get("translate", [0, 0, 0])[1]) if obeys else 0
    turn = controls.get("rotate", 0.0)
    for image, index in zip(images, indices):
        middle = 12 + index % 8 + right
        dark = 0.0 if look < 0 or not obeys else 0.05 * (look % 5)
        image[:, 12 : 12 + 2 * HALF, middle - HALF : middle + HALF] = dark
        if obeys and turn:
            image[0, 12 : 12 + 2 * HALF, middle - HALF : middle + HALF] = 1.0
        if spills and turn:
            image[:, :, :2] += 0.3 * turn
    return images


def test_a_generator_that_obeys() -> None:
    scores = control_scores(squares, scenes=6)
    assert scores.keys() == NAMES
    assert scores["translation_correlation"] == pytest.approx(1, abs=1e-6)
    assert scores["rotation_background_change"] == 0
    assert scores["rotation_object_change"] == pytest.approx(1 / 3, abs=1e-6)  # one of three channels goes from 0 to 1
    assert scores["appearance_mask_iou"] == 1
    assert scores["appearance_object_change"] == pytest.approx((0.05 + 0.1 + 0.15) / 3, abs=1e-6)
    assert scores["object_seen"] == 1


def test_a_generator_that_does_not() -> None:
    scores = control_scores(lambda indices, **controls: squares(indices, obeys=False, spills=True, **controls), scenes=6)
    assert scores["translation_correlation"] == 0
    assert scores["rotation_background_change"] > 0.01
    assert scores["rotation_object_change"] == scores["appearance_object_change"] == 0


def test_without_objects_nothing_else_is_scored() -> None:
    assert control_scores(lambda indices, **controls: squares(indices, shown=False, **controls), scenes=3) == {"object_seen": 0}


@pytest.mark.parametrize("when", ["rotate", "remove", ""])
def test_pictures_that_are_no_numbers_are_no_result(when: str) -> None:
    def broken(indices: range, **controls: Any) -> Tensor:
        pictures = squares(indices, **controls)
        return pictures * torch.nan if when in controls or (not when and not controls) else pictures

    with pytest.raises(UserError, match=f"under .*{when}.* contain NaN or infinity"):
        control_scores(broken, scenes=2)


class Squares(Method):
    """The squares as a method."""

    card = methods.load("giraffe").card

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        assert not given
        return Reconstruction("image", "pixel", samples=squares(range(3)).numpy())

    def generate(self, indices: range, seed: int, **controls: Any) -> Tensor:
        return squares(indices, **controls)


def test_a_run_is_scored_and_pictured(tmp_path: Path) -> None:
    scores = score(Squares(), WholeSet("controls", {}), Scoring(GenerationControlProtocol(), {}, folder=tmp_path))
    assert scores.failed == {}
    assert scores.per_scene["controls"].keys() == NAMES
    pictures = {file.name for file in (tmp_path / "controls").iterdir()}
    assert {"samples.png", "control_rotate.png", "control.webp"} <= pictures


def test_pictures(tmp_path: Path) -> None:
    files = write_control_pictures(squares, tmp_path)
    assert {file.name for file in files} == {*(f"control_{name}.png" for name in SHEETS), "control.webp"}
    with Image.open(tmp_path / "control.webp") as animation:
        assert animation.n_frames > 1


def test_the_suite_is_one_scene_and_names_its_entrants() -> None:
    suite = load_suite("generation_control")
    assert "giraffe" in suite.entrants()
    assert "mean_face" not in suite.entrants()
    split = suite.protocol.scenes([{"image": None}] * 3)  # type: ignore[arg-type]
    assert (len(split), split.name(0), split[0]) == (1, "controls", {})


def test_a_reconstruction_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="pictures of samples, but the reconstruction has none"):
        GenerationControlProtocol().pictures(Reconstruction("image", "pixel"), {}, tmp_path)


def test_a_mirrored_command_is_no_obedience() -> None:
    """A generator that moves the object in the opposite direction moves it along the right line, but against the command."""

    def mirrored(indices: range, **controls: Any) -> Tensor:
        if "translate" in controls:
            controls["translate"] = [-shift for shift in controls["translate"]]
        return squares(indices, **controls)

    assert control_scores(mirrored, scenes=4)["translation_correlation"] == pytest.approx(-1, abs=1e-6)

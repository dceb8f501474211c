"""The shape suite: perfect depth, its scale, closed forms of both errors, holes, baselines, pictures."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluating import scores_of
from PIL import Image

from deep3dmap.benchmarks.shape.protocol import ShapeProtocol
from deep3dmap.core import Reconstruction, UserError
from deep3dmap.methods.ellipsoid_prior.method import EllipsoidPrior, EllipsoidPriorConfig
from deep3dmap.methods.flat_relief.method import FlatRelief, FlatReliefConfig

SIDE = 32


def truth() -> dict[str, Any]:
    rows, columns = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) * 2 - 1
    squared = (rows / 0.8) ** 2 + (columns / 0.6) ** 2
    inside = squared < 1
    depth = np.where(inside, 1 - 0.05 * np.sqrt(np.clip(1 - squared, 0, 1)), 1.1).astype(np.float32)
    image = np.where(inside, 0.3, 0.9).astype(np.float32)
    return {"image": np.stack([image] * 3), "relief_depth": depth}


def relief(depth: np.ndarray) -> Reconstruction:
    return Reconstruction("relief", "distance to the object's middle", depth=depth[None].astype(np.float32))


@pytest.fixture
def sample() -> dict[str, Any]:
    return truth()


def test_the_truth_has_no_error(sample: dict[str, Any]) -> None:
    found = scores_of(ShapeProtocol(), relief(sample["relief_depth"]), sample)
    assert found["side"] == pytest.approx(0, abs=1e-4)
    assert found["mad_exact"] == pytest.approx(0, abs=1e-4)
    assert found["seen"] == 1


def test_scale_does_not_matter_and_shape_does(sample: dict[str, Any]) -> None:
    scaled = scores_of(ShapeProtocol(), relief(1.3 * sample["relief_depth"]), sample)
    assert scaled["side"] == pytest.approx(0, abs=1e-4)
    inside = sample["relief_depth"] < 1.1
    striped = np.where(np.arange(SIDE) // 2 % 2 == 0, np.exp(0.01), np.exp(-0.01))
    found = scores_of(ShapeProtocol(), relief(np.where(inside, sample["relief_depth"] * striped, 1.1)), sample)
    # Plus and minus one hundredth in equal parts, so the deviation is one hundredth.
    assert found["side"] == pytest.approx(1.0, abs=0.01)
    assert found["mad"] > 20


def test_nothing_is_compared_where_nothing_is_predicted(sample: dict[str, Any]) -> None:
    half = sample["relief_depth"].copy()
    half[:, : SIDE // 2] = 0
    found = scores_of(ShapeProtocol(), relief(half), sample)
    assert found["side"] == pytest.approx(0, abs=1e-4)
    assert 0.3 < found["seen"] < 0.5


def test_what_it_refuses(sample: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="has no depth where the object is"):
        scores_of(ShapeProtocol(), relief(np.zeros((SIDE, SIDE))), sample)
    with pytest.raises(UserError, match=r"the depth map is \(1, 16, 16\), but the true one is \(1, 32, 32\)"):
        scores_of(ShapeProtocol(), relief(np.ones((16, 16))), sample)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_pixels_that_are_no_depth_are_not_left_out_in_silence(sample: dict[str, Any], wrong: float) -> None:
    depth = sample["relief_depth"].copy()
    depth[SIDE // 2, SIDE // 2] = wrong
    with pytest.raises(UserError, match="contains NaN or infinity; missing depth must be 0"):
        scores_of(ShapeProtocol(), relief(depth), sample)


def test_an_ellipsoid_of_the_right_depth_is_better_than_a_board(sample: dict[str, Any]) -> None:
    given = {"image": sample["image"]}
    flat = scores_of(ShapeProtocol(), FlatRelief(FlatReliefConfig()).reconstruct(given), sample)
    prior = EllipsoidPrior(EllipsoidPriorConfig(near=0.95, far=1.0)).reconstruct(given)
    round_ = scores_of(ShapeProtocol(), prior, sample)
    assert round_["side"] < flat["side"]
    assert round_["mad"] < flat["mad"]


def test_a_board_has_the_spread_of_the_truth(sample: dict[str, Any]) -> None:
    found = scores_of(ShapeProtocol(), FlatRelief(FlatReliefConfig()).reconstruct({"image": sample["image"]}), sample)
    inside = sample["relief_depth"] < 1.1
    # The rim does not count, so the spread over all pixels is slightly larger.
    spread = 100 * np.log(sample["relief_depth"][inside]).std()
    assert 0.6 * spread < found["side"] < spread


def test_the_picture(sample: dict[str, Any], tmp_path: Path) -> None:
    (file,) = ShapeProtocol().pictures(relief(sample["relief_depth"]), sample, tmp_path)
    assert np.asarray(Image.open(file)).std() > 20


def plane(degrees: float) -> np.ndarray:
    """Depth of a plane through the object's centre, rotated about the vertical by `degrees`; 1.1 around it."""
    columns = np.arange(SIDE) - (SIDE - 1) / 2
    slope = columns * np.tan(np.radians(5)) / ((SIDE - 1) / 2)
    rows, across = np.mgrid[:SIDE, :SIDE]
    inside = (np.abs(rows - 15.5) < 12) & (np.abs(across - 15.5) < 12)
    return np.where(inside, 1 / (1 - slope * np.tan(np.radians(degrees))), 1.1)


@pytest.mark.parametrize("degrees", [5.0, 20.0, 35.0])
def test_planes_deviate_by_the_angle_between_them(degrees: float) -> None:
    image = np.zeros((3, SIDE, SIDE), np.float32)
    found = scores_of(ShapeProtocol(), relief(plane(degrees)), {"image": image, "relief_depth": plane(0.0)})
    assert found["mad_exact"] == pytest.approx(degrees, abs=0.02)
    # Without the rim, 22 columns are compared.
    logarithms = np.log(plane(degrees)[16, 5:27])
    assert found["side"] == pytest.approx(100 * logarithms.std(), rel=1e-4)
    assert found["seen"] == 1


def test_what_a_method_shows_of_its_own_is_pictured_below(sample: dict[str, Any], tmp_path: Path) -> None:
    bytes_of = io.BytesIO()
    Image.fromarray(np.full((SIDE, 3 * SIDE, 3), (255, 0, 0), np.uint8)).save(bytes_of, "png")
    plain = relief(sample["relief_depth"])
    shown = replace(plain, files={"albedo.png": bytes_of.getvalue(), "relit.png": bytes_of.getvalue(), "other.png": b""})
    sizes = []
    for name, one in (("plain", plain), ("shown", shown)):
        (file,) = ShapeProtocol().pictures(one, sample, tmp_path / name)
        pixels = np.asarray(Image.open(file))
        sizes.append((pixels.shape[0], int((pixels == (255, 0, 0)).all(-1).sum())))
    assert sizes[0][1] == 0
    assert sizes[1][0] > sizes[0][0] + 128
    assert sizes[1][1] == 2 * 128 * 3 * 128


def test_both_surfaces_are_shown_at_one_scale(sample: dict[str, Any]) -> None:
    predicted, true = ShapeProtocol().surfaces(relief(1.3 * sample["relief_depth"]), sample)
    assert predicted is not None
    assert true is not None
    assert len(true.faces) > 200
    assert np.array_equal(predicted.faces, true.faces)
    assert np.abs(predicted.vertices - true.vertices).max() < 1e-5
    corners = true.vertices[true.faces]
    # Counter-clockwise as seen from the camera, which looks along z.
    assert (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] < 0).all()

"""The face suite: scores, refusals, and pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluating import scores_of
from PIL import Image

from deep3dmap.benchmarks.face.pictures import true_surface
from deep3dmap.benchmarks.face.protocol import FaceProtocol
from deep3dmap.core import Mesh, MethodCard, Reconstruction, UserError
from deep3dmap.data.scenes.head_layout import MARGIN
from deep3dmap.data.scenes.head_model import head_atlas, head_model
from deep3dmap.geometry.face_pose import HeadPose
from deep3dmap.geometry.position_maps import reconstruction_of_map, sample

PROTOCOL = FaceProtocol()
SIDE, GRID = 120, 65
NAMES = {metric.name for metric in PROTOCOL.card.metrics}


def truth_of(yaw: float) -> dict[str, Any]:
    """A head of the model in an empty photograph."""
    model, angles = head_model(GRID), np.array([0.1, yaw, 0.05])
    positions = HeadPose(angles, np.array([60.0, 75, 0]), 0.5).image(model.shape(), SIDE).astype(np.float32)
    landmarks = model.landmarks(positions).astype(np.float32)
    face = model.regions["face"]
    return {
        "image": np.full((3, SIDE, SIDE), 0.5, np.float32),
        "box": np.array([*landmarks[:, :2].min(0), *landmarks[:, :2].max(0)], np.float32),
        "landmarks_68": landmarks,
        "head_pose": angles.astype(np.float32),
        "dense_points": positions[face],
        "dense_uv": model.uv[face],
        "vertices": positions,
        "identity": np.full(40, 0.5, np.float32),
        "expression": np.float32([0.6, 0, 0.9]),
    }


def perfect(truth: dict[str, Any], size: int = 256) -> Reconstruction:
    """The reconstruction that corresponds to the true vertices."""
    axis = np.arange(size) / (size - 1)
    u, v = np.meshgrid(axis, axis[::-1])
    on_grid = ((np.stack([u, v], -1) - MARGIN) / (1 - 2 * MARGIN)).clip(0, 1).reshape(-1, 2)
    grid_map = truth["vertices"].reshape(GRID, GRID, 3).transpose(2, 0, 1)
    position_map = sample(grid_map, on_grid).T.reshape(3, size, size)
    return reconstruction_of_map(position_map, head_atlas(size), truth["image"])


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    return truth_of(np.radians(40))


def test_the_truth_scores_zero_up_to_texels(truth: dict[str, Any]) -> None:
    scores = scores_of(PROTOCOL, perfect(truth), truth)
    other_parts = {f"nme_68_2d_{part}" for part in ("yaw_0_30", "yaw_60_90", "identity_far", "expression_calm")}
    assert scores.keys() == NAMES - other_parts - {"nme_68_2d_mean_of_bins"}
    assert scores["nme_dense_2d"] < 0.05
    assert scores["nme_dense_3d"] < 0.05
    assert scores["nme_68_2d"] < 0.5
    assert scores["reconstruction_nme"] < 0.6
    assert scores["pose_mae"] < 0.3


def test_a_shift_in_the_image_costs_its_share_of_the_box(truth: dict[str, Any]) -> None:
    exact, landmarks = perfect(truth), truth["landmarks_68"]
    sides = np.ptp(landmarks[:, :2], 0)
    moved = Reconstruction("image", "pixel", landmarks=landmarks + np.float32([3, 4, 99]), position_map=exact.position_map)
    scores = scores_of(PROTOCOL, moved, truth)
    assert scores["nme_68_2d"] == pytest.approx(500 / np.sqrt(sides.prod()), rel=1e-5)
    assert scores["nme_68_3d"] == pytest.approx(scores["nme_68_2d"], rel=1e-5)
    assert scores["nme_68_2d_yaw_30_60"] == scores["nme_68_2d"]
    assert scores["nme_dense_2d"] < 0.05


def test_metrics_without_ground_truth_are_absent(truth: dict[str, Any]) -> None:
    flat = {key: truth[key] for key in ("image", "box", "landmarks_68")}
    assert set(scores_of(PROTOCOL, perfect(truth), flat)) == {"nme_68_2d", "nme_68_3d"}


def test_summary_is_the_mean_of_the_bins_that_have_faces(truth: dict[str, Any]) -> None:
    evaluation, errors = PROTOCOL.begin(), []
    assert evaluation.finish() == {}
    for shift, yaw in ((1.0, 0.1), (2.0, 0.2), (6.0, 1.2)):
        turned = {**truth, "head_pose": np.array([0.0, yaw, 0.0], np.float32)}
        moved = Reconstruction("image", "pixel", landmarks=truth["landmarks_68"] + np.float32([shift, 0, 0]))
        errors.append(evaluation.add(f"yaw {yaw}", moved, None, turned)["nme_68_2d"])
    mean_of_bins = ((errors[0] + errors[1]) / 2 + errors[2]) / 2
    assert evaluation.finish() == {"nme_68_2d_mean_of_bins": pytest.approx(mean_of_bins)}


def test_what_cannot_be_scored_is_refused(truth: dict[str, Any]) -> None:
    landmarks = truth["landmarks_68"]
    with pytest.raises(UserError, match="landmarks or a position map"):
        scores_of(PROTOCOL, Reconstruction("image", "pixel", points=landmarks), truth)
    with pytest.raises(UserError, match="frame 'image'"):
        scores_of(PROTOCOL, Reconstruction("world", "metre", landmarks=landmarks), truth)
    with pytest.raises(UserError, match="NaN"):
        scores_of(PROTOCOL, Reconstruction("image", "pixel", landmarks=landmarks * np.nan), truth)


def test_only_methods_that_need_no_more_than_image_and_box_are_admitted() -> None:
    fields = {"title": "", "authors": "", "year": 2024, "paper": "", "tasks": ("face",), "licence": ""}
    fits = MethodCard(consumes=("image", "box"), produces=("landmarks",), **fields)
    peeks = MethodCard(consumes=("image", "landmarks_68"), produces=("landmarks",), **fields)
    assert PROTOCOL.card.admits(fits)
    assert not PROTOCOL.card.admits(peeks)


def test_every_metric_has_a_card_and_the_headline_is_one() -> None:
    assert PROTOCOL.card.headline in NAMES
    assert all(metric.better == "down" for metric in PROTOCOL.card.metrics)


def colors_of(file: Path) -> int:
    return len(np.unique(np.asarray(Image.open(file)).reshape(-1, 3), axis=0))


def test_pictures_of_everything(truth: dict[str, Any], tmp_path: Path) -> None:
    files = PROTOCOL.pictures(perfect(truth), truth, tmp_path / "new")
    names = ["sheet", "landmarks", "surface", "surface_true", "error", "depth_predicted", "depth_true"]
    assert [file.stem for file in files] == names
    assert all(colors_of(file) > 5 for file in files)


def test_pictures_where_there_are_landmarks_only(truth: dict[str, Any], tmp_path: Path) -> None:
    flat = {key: truth[key] for key in ("image", "box", "landmarks_68")}
    reconstruction = Reconstruction("image", "pixel", landmarks=truth["landmarks_68"] + 2)
    files = PROTOCOL.pictures(reconstruction, flat, tmp_path)
    assert [file.stem for file in files] == ["sheet", "landmarks", "error"]


def test_surface_is_shown_at_the_depth_of_the_true_landmarks(truth: dict[str, Any]) -> None:
    surface, farther = true_surface(truth), np.array([0, 0, 500.0], np.float32)
    assert surface is not None
    landmarks = np.asarray(truth["landmarks_68"], np.float32) + farther
    made = Reconstruction("image", "pixel", mesh=Mesh(surface.vertices + farther, surface.faces), landmarks=landmarks)
    predicted, true = PROTOCOL.surfaces(made, truth)
    assert predicted is not None
    assert true is not None
    assert np.abs(predicted.vertices - true.vertices).max() < 1e-2

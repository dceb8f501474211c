"""The suite of unposed objects: a different frame has no cost, wrong cameras do, and guesses score at the chance level."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.bench.suite import load_suite
from deep3dmap.benchmarks.object_unposed.camera_refinement import refine_cameras
from deep3dmap.benchmarks.object_unposed.found_cameras import held_out_cameras, pose_scores
from deep3dmap.benchmarks.object_unposed.protocol import ObjectUnposedProtocol
from deep3dmap.core import Camera, Reconstruction, Views
from deep3dmap.geometry.alignment import Similarity3D
from deep3dmap.geometry.cameras import look_at
from deep3dmap.geometry.pose_alignment import transform_poses
from deep3dmap.geometry.rotations import matrix_of_axis_angle
from deep3dmap.methods.random_cameras.method import RandomCameras, RandomCamerasConfig

PROTOCOL = ObjectUnposedProtocol()
NAMES = {metric.name for metric in PROTOCOL.card.metrics}
SIDE = 16
INTRINSICS = np.array([[20.0, 0, SIDE / 2], [0, 20, SIDE / 2], [0, 0, 1]])
# A different frame: rotated, moved and half as large.
OTHER = Similarity3D(0.5, matrix_of_axis_angle([0.3, -0.8, 0.4]), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))


def poses_of(count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    eyes = random.normal(size=(count, 3))
    eyes[:, 2] = np.abs(eyes[:, 2]) + 0.1
    eyes *= 4 / np.linalg.norm(eyes, axis=1, keepdims=True)
    return np.stack([look_at(eye, (0.0, 0.0, 0.0)).numpy() for eye in eyes])


@pytest.fixture
def truth() -> dict[str, Any]:
    random = np.random.default_rng(5)
    return {
        "images": random.random((12, 3, SIDE, SIDE), np.float32),
        "intrinsics": np.tile(INTRINSICS, (12, 1, 1)),
        "world_from_camera": poses_of(12, 0),
        "test_images": random.random((3, 3, SIDE, SIDE), np.float32),
        "test_intrinsics": np.tile(INTRINSICS, (3, 1, 1)),
        "test_world_from_camera": poses_of(3, 1),
    }


def found(poses: Any, **more: Any) -> Reconstruction:
    cameras = [Camera(INTRINSICS, np.asarray(pose), SIDE, SIDE) for pose in poses]
    return Reconstruction("world", "metre", cameras=cameras, gauge="similarity", **more)


def test_the_truth_in_another_frame_scores_best(truth: dict[str, Any]) -> None:
    result = found(transform_poses(OTHER, truth["world_from_camera"]))
    evaluation = PROTOCOL.begin()
    scores = evaluation.add("object", result, Views(truth["test_images"]), truth)
    assert scores.keys() == NAMES - {"psnr_refined", "ssim11_refined"}
    assert scores["rotation_deg"] < 1e-5
    assert scores["translation"] < 1e-9
    assert scores["within_5_deg"] == 1
    assert (scores["psnr"], scores["ssim11"]) == (100, pytest.approx(1))
    assert scores["chance_rotation_deg"] > 60


def test_test_cameras_are_asked_for_in_the_frame_that_was_found(truth: dict[str, Any]) -> None:
    cameras = held_out_cameras(found(transform_poses(OTHER, truth["world_from_camera"])), truth)
    expected = transform_poses(OTHER, truth["test_world_from_camera"]).numpy()
    for camera, pose in zip(cameras, expected, strict=True):
        assert np.abs(camera.world_from_camera - pose).max() < 1e-9
        assert (camera.width, camera.height) == (SIDE, SIDE)


def test_turned_cameras_have_the_error_they_were_turned_by(truth: dict[str, Any]) -> None:
    turned = truth["world_from_camera"].copy()
    turned[:, :3, :3] = turned[:, :3, :3] @ matrix_of_axis_angle([0.0, 0.0, np.radians(10)]).numpy()
    scores = pose_scores(found(turned), truth)
    assert scores["rotation_deg"] == pytest.approx(10, abs=1e-6)
    assert (scores["within_5_deg"], scores["within_15_deg"]) == (0, 1)
    assert scores["translation_share"] < 1e-9


SPOTS = np.random.default_rng(3).uniform(-1, 1, (14, 3))
COLORS = np.random.default_rng(4).uniform(0.2, 1, (14, 3))


def spots(cameras: Any, size: float = 0.2) -> Views:
    """Render soft spots of several colours, nearer ones larger."""
    images = []
    for camera in cameras:
        points = SPOTS @ camera.camera_from_world[:3, :3].T + camera.camera_from_world[:3, 3]
        pixels = points @ camera.intrinsics.T / points[:, 2:]
        rows, columns = np.mgrid[: camera.height, : camera.width] + 0.5
        near = (columns[None] - pixels[:, :1, None]) ** 2 + (rows[None] - pixels[:, 1:2, None]) ** 2
        wide = (camera.intrinsics[0, 0] * size / points[:, 2])[:, None, None]
        images.append(np.einsum("nhw,nc->chw", np.exp(-near / (2 * wide**2)), COLORS) / 2)
    return Views(np.stack(images).astype(np.float32))


def test_cameras_are_refined_on_the_images_they_are_tested_on(truth: dict[str, Any]) -> None:
    intrinsics = np.array([[60.0, 0, 24], [0, 60, 24], [0, 0, 1]])
    true = [Camera(intrinsics, pose, 48, 48) for pose in truth["test_world_from_camera"]]
    images = spots(true).images
    shifted = []
    for number, camera in enumerate(true):
        pose = camera.world_from_camera.copy()
        turn = np.roll([np.radians(4), np.radians(-2), 0], number)
        pose[:3, :3] = pose[:3, :3] @ matrix_of_axis_angle(turn).numpy()
        pose[:3, 3] *= 1.05
        shifted.append(Camera(intrinsics, pose, 48, 48))
    refined = refine_cameras(spots, shifted, list(images))
    for before, after, wanted in zip(shifted, refined, true):
        turned = [np.trace(one.world_from_camera[:3, :3].T @ wanted.world_from_camera[:3, :3]) for one in (before, after)]
        angles = np.degrees(np.arccos(np.clip((np.array(turned) - 1) / 2, -1, 1)))
        assert angles[0] > 4
        assert angles[1] < 0.5
    errors = [((spots(cameras).images - images) ** 2).mean() for cameras in (shifted, refined)]
    assert errors[1] < 0.01 * errors[0]


def test_a_picture_that_no_camera_changes_leaves_the_camera(truth: dict[str, Any]) -> None:
    cameras = [Camera(INTRINSICS, pose, SIDE, SIDE) for pose in truth["test_world_from_camera"]]
    same = Views(np.full((1, 3, 1, 1), 0.5, np.float32))

    def render(asked: Any) -> Views:
        return Views(np.broadcast_to(same.images, (len(asked), 3, asked[0].height, asked[0].width)))

    refined = refine_cameras(render, cameras, list(truth["test_images"]))
    for before, after in zip(cameras, refined, strict=True):
        assert np.array_equal(before.world_from_camera, after.world_from_camera)


def test_refined_views_have_columns_of_their_own(truth: dict[str, Any]) -> None:
    small = truth | {
        "test_images": spots([Camera(INTRINSICS, pose, SIDE, SIDE) for pose in truth["test_world_from_camera"]]).images
    }
    turned = truth["world_from_camera"].copy()
    turned[:, :3, :3] = turned[:, :3, :3] @ matrix_of_axis_angle([0.0, 0.0, np.radians(3)]).numpy()
    evaluation, result = PROTOCOL.begin(), found(turned)
    # A method whose whole frame is slightly off, which the alignment by centres does not correct.
    scores = evaluation.add_refined("object", result, lambda cameras: spots(moved(cameras)), small)
    plain = evaluation.add("object", result, spots(moved(evaluation.queries(result, small))), small)
    assert scores.keys() == {"psnr_refined", "ssim11_refined"}
    assert scores["psnr_refined"] > plain["psnr"] + 6
    assert set(plain) | set(scores) == NAMES


def moved(cameras: Any) -> list[Camera]:
    off = np.eye(4)
    off[:3, 3] = [0.1, -0.05, 0.08]
    return [Camera(one.intrinsics, off @ one.world_from_camera, one.width, one.height) for one in cameras]


def test_guesses_are_at_the_chance_level(truth: dict[str, Any]) -> None:
    torch.manual_seed(0)
    method = RandomCameras(RandomCamerasConfig(lowest=1.0))
    rows = [pose_scores(method.reconstruct(truth), truth) for _ in range(30)]
    mean = np.mean([row["rotation_deg"] for row in rows])
    assert mean == pytest.approx(rows[0]["chance_rotation_deg"], rel=0.15)
    views = method.render([Camera(INTRINSICS, np.eye(4), SIDE, SIDE)])
    assert np.allclose(views.images[0], truth["images"].mean(0), atol=1e-6)


def test_every_image_has_a_camera(truth: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="12 images are given, but 11 cameras"):
        PROTOCOL.begin().queries(found(truth["world_from_camera"][:11]), truth)


def test_pictures(truth: dict[str, Any], tmp_path: Path) -> None:
    poses = transform_poses(OTHER, truth["world_from_camera"])
    files = PROTOCOL.pictures(found(poses, images=truth["images"][:2]), truth, tmp_path)
    assert [file.name for file in files] == ["cameras.png", "views.png"]
    assert [file.name for file in PROTOCOL.pictures(found(poses), truth, tmp_path / "bare")] == ["cameras.png"]


def test_who_may_enter() -> None:
    suite = load_suite("object_unposed")
    assert suite.entrants() == ["gnerf", "random_cameras"]
    assert "world_from_camera" not in suite.protocol.card.task.given

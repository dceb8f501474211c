"""The outdoor suite: depth by range without the sky, surfaces within the bounds, and pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from deep3dmap.bench.suite import load_suite
from deep3dmap.benchmarks.outdoor import pictures
from deep3dmap.benchmarks.outdoor.protocol import OutdoorProtocol, mesh_depths
from deep3dmap.benchmarks.outdoor.range_depth import gather, scores
from deep3dmap.core import Mesh, Reconstruction, UserError, Views
from deep3dmap.geometry.cameras import look_at
from deep3dmap.geometry.icosphere import icosphere
from deep3dmap.render.visualization import depth_picture

PROTOCOL = OutdoorProtocol()
SPHERE, FACES = icosphere(3)
HEIGHT, WIDTH = 24, 32


def truth_of() -> dict[str, Any]:
    """A ball of ten metres at a distance of forty metres."""
    pose = look_at((0.0, -40.0, 0.0), (0.0, 0, 0)).numpy()
    intrinsics = np.array([[40.0, 0, WIDTH / 2], [0, 40.0, HEIGHT / 2], [0, 0, 1]])
    truth = {
        "test_images": np.full((1, 3, HEIGHT, WIDTH), 0.5, np.float32),
        "test_intrinsics": intrinsics[None],
        "test_world_from_camera": pose[None],
        "test_true_depths": np.zeros((1, HEIGHT, WIDTH), np.float32),
        "mesh": Mesh(10 * SPHERE, FACES),
        "bounds": np.array([[-20.0] * 3, [20.0] * 3]),
    }
    truth["test_true_depths"] = np.stack([one.numpy() for one in mesh_depths(truth["mesh"], truth)])
    return truth


def scored(reconstruction: Reconstruction, views: Views | None, truth: dict[str, Any]) -> dict[str, float]:
    return dict(PROTOCOL.begin().add("scene", reconstruction, views, truth))


def test_ranges_are_scored_by_the_true_depth_and_missing_pixels_are_wrong() -> None:
    truth = torch.tensor([[10.0, 10.0, 30.0, 0.0, 100.0]])
    predicted = torch.tensor([[10.2, 0.0, 33.0, 55.0, 100.0]])
    found = scores(gather([predicted], [truth]))
    assert found["within_5"] == pytest.approx(2 / 4)
    assert found["complete"] == pytest.approx(3 / 4)
    assert found["abs_diff"] == pytest.approx((0.2 + 3.0) / 3)
    assert found["within_5_0_20"] == pytest.approx(1 / 2)
    assert found["abs_rel_20_50"] == pytest.approx(0.1)
    assert found["within_5_50_up"] == 1
    assert "abs_rel" not in scores(gather([torch.zeros(1, 5)], [truth]))


def test_depth_that_is_no_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="must both be"):
        gather([torch.ones(2, 3)], [torch.ones(3, 2)])
    with pytest.raises(ValueError, match="NaN"):
        gather([torch.full((2, 3), torch.nan)], [torch.ones(2, 3)])


def test_the_true_mesh_scores_best() -> None:
    truth = truth_of()
    found = scored(Reconstruction("world", "metre", mesh=truth["mesh"]), None, truth)
    assert found["within_5"] == found["complete"] == found["f_score_50cm"] == 1
    assert found["chamfer"] < 0.2
    assert found["abs_diff"] < 1e-3
    assert "psnr" not in found


def test_rendered_depth_counts_before_that_of_the_mesh() -> None:
    truth = truth_of()
    views = Views(truth["test_images"], 1.1 * truth["test_true_depths"])
    found = scored(Reconstruction("world", "metre", mesh=truth["mesh"]), views, truth)
    assert found["within_5"] == 0
    assert found["abs_rel"] == pytest.approx(0.1, abs=1e-4)
    assert found["psnr"] == 100
    assert found["f_score_50cm"] == 1


def test_what_lies_outside_the_bounds_does_not_count() -> None:
    truth = truth_of()
    far = Mesh(np.concatenate([10 * SPHERE, 10 * SPHERE + 100]), np.concatenate([FACES, FACES + len(SPHERE)]))
    assert scored(Reconstruction("world", "metre", mesh=far), None, truth)["accuracy"] < 0.2
    empty = scored(Reconstruction("world", "metre", mesh=Mesh(np.zeros((0, 3)), np.zeros((0, 3)))), None, truth)
    assert empty["chamfer"] == pytest.approx(40 * np.sqrt(3))
    assert empty["within_5"] == empty["complete"] == empty["f_score_50cm"] == 0


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(UserError, match="frame"):
        scored(Reconstruction("image", "pixel", mesh=Mesh(SPHERE, FACES)), None, truth_of())
    with pytest.raises(UserError, match="depth or a mesh"):
        scored(Reconstruction("world", "metre"), None, truth_of())


def test_pictures_are_made(tmp_path: Path) -> None:
    truth = truth_of()
    files = PROTOCOL.pictures(Reconstruction("world", "metre", mesh=truth["mesh"]), truth, tmp_path)
    files += PROTOCOL.view_pictures(Views(truth["test_images"], truth["test_true_depths"]), truth, tmp_path)
    assert [file.name for file in files] == ["mesh_depth.png", "views.png"]
    assert all(Image.open(file).size[0] > 500 for file in files)


def test_its_methods_enter() -> None:
    assert {"nerf", "plane_sweep", "tsdf_fusion"} <= set(load_suite("outdoor").entrants())


def wall(distance: float) -> Mesh:
    """A square of 16 m across the camera's view, at the given distance in metres."""
    corners = np.array([[-8.0, distance - 40, -8], [8, distance - 40, -8], [8, distance - 40, 8], [-8, distance - 40, 8]])
    return Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]))


def test_depth_of_a_mesh_is_along_the_axis_of_the_camera() -> None:
    (depth,) = mesh_depths(wall(30.0), truth_of())
    assert depth[HEIGHT // 2, WIDTH // 2] == pytest.approx(30, abs=1e-4)
    assert depth[HEIGHT // 2, WIDTH // 2 + 8] == pytest.approx(30, abs=1e-4)
    assert depth[0, 0] == 0


def test_parallel_walls_are_as_far_apart_as_they_are() -> None:
    truth = {**truth_of(), "mesh": wall(40.0)}
    truth["test_true_depths"] = np.stack([one.numpy() for one in mesh_depths(truth["mesh"], truth)])
    for apart, score in ((0.3, 1.0), (0.7, 0.0)):
        found = scored(Reconstruction("world", "metre", mesh=wall(40.0 + apart)), None, truth)
        # Between points spread evenly over both, some of which are slightly offset.
        assert found["accuracy"] == pytest.approx(apart, abs=0.02)
        assert found["completeness"] == pytest.approx(apart, abs=0.02)
        assert found["f_score_50cm"] == score
        assert found["abs_diff"] == found["abs_diff_20_50"] == pytest.approx(apart, abs=1e-4)
        assert "abs_diff_0_20" not in found


def test_the_cameras_of_the_held_out_views_are_asked_for() -> None:
    truth = truth_of()
    (camera,) = PROTOCOL.begin().queries(Reconstruction("world", "metre"), truth)
    assert (camera.width, camera.height) == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(camera.world_from_camera, truth["test_world_from_camera"][0])


def test_there_is_no_picture_of_what_was_not_made(tmp_path: Path) -> None:
    assert PROTOCOL.pictures(Reconstruction("world", "metre"), truth_of(), tmp_path) == []
    assert PROTOCOL.view_pictures(Views(truth_of()["test_images"]), truth_of(), tmp_path) == []
    assert not list(tmp_path.iterdir())


def test_the_colours_of_depth_are_even_in_its_inverse() -> None:
    nearest, farthest = pictures.NEAREST, pictures.FARTHEST
    middle = 2 / (1 / nearest + 1 / farthest)
    drawn = pictures._nearness(torch.tensor([[nearest, middle, farthest, 0.5 * nearest, 9 * farthest, 0.0]]))
    expected = depth_picture(torch.tensor([[1.0, 1.5, 2.0, 1.0, 2.0, 0.0]]), 1.0, 2.0)
    torch.testing.assert_close(drawn, expected, atol=0.01, rtol=0)

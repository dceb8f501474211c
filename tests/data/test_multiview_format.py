"""transforms.json: round trips, NeRF's variant, and errors for damaged files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deep3dmap.core.errors import UserError
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.data.formats.images import write_image
from deep3dmap.data.formats.multiview import read_frames, read_views, write_views
from deep3dmap.geometry.cameras import look_at


def _write(folder: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], list[Camera]]:
    rng = np.random.default_rng(0)
    images, masks = rng.random((2, 3, 6, 8), np.float32), rng.random((2, 6, 8), np.float32)
    intrinsics = np.array([[9.0, 0, 4.1], [0, 9, 2.9], [0, 0, 1]])
    cameras = [Camera(intrinsics, look_at((k, 1.0, 2), (0, 0, 0)).numpy(), 8, 6) for k in range(2)]
    write_views(folder, list(images), list(masks), cameras)
    return images, masks, cameras


def test_reads_what_it_wrote(tmp_path: Path) -> None:
    images, masks, cameras = _write(tmp_path)
    views = read_views(read_frames(tmp_path))
    np.testing.assert_allclose(views["images"], images, atol=0.5 / 255 + 1e-6)
    np.testing.assert_allclose(views["masks"], masks, atol=1e-5)
    np.testing.assert_array_equal(views["intrinsics"], [camera.intrinsics for camera in cameras])
    np.testing.assert_array_equal(views["world_from_camera"], [camera.world_from_camera for camera in cameras])


def test_reads_the_kind_of_nerf(tmp_path: Path) -> None:
    from PIL import Image

    alpha = np.zeros((6, 8, 4), np.uint8)
    alpha[:, 4:] = 255
    Image.fromarray(alpha).save(tmp_path / "r_0.png")
    frame = {"file_path": "./r_0", "transform_matrix": np.eye(4).tolist()}
    (tmp_path / "transforms.json").write_text(json.dumps({"camera_angle_x": np.pi / 2, "frames": [frame]}))
    views = read_views(read_frames(tmp_path))
    np.testing.assert_allclose(views["intrinsics"][0], [[4, 0, 4], [0, 4, 3], [0, 0, 1]])
    # An OpenGL camera looks along its negative z axis.
    np.testing.assert_array_equal(views["world_from_camera"][0], np.diag([1, -1, -1, 1]))
    np.testing.assert_array_equal(views["masks"][0], alpha[..., 3] / 255)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": []}, "no list 'frames'"),
        ({"camera_axes": "y up"}, "camera_axes"),
        ({"frames": [{"file_path": "view_00.png"}]}, "frame 0: needs"),
        ({"frames": [{"file_path": "other", "transform_matrix": np.eye(4).tolist()}]}, "other is missing"),
        ({"frames": [{"file_path": "view_00.png", "transform_matrix": np.eye(4).tolist()}]}, "camera_angle_x"),
        ({"frames": [{"file_path": "view_00.png", "transform_matrix": [[1]], "fl_x": 3}]}, "frame 0: a pose must be a 4x4"),
    ],
)
def test_names_what_is_wrong(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    _write(tmp_path)
    about = json.loads((tmp_path / "transforms.json").read_text())
    (tmp_path / "transforms.json").write_text(json.dumps(about | change))
    with pytest.raises(UserError, match=message):
        read_frames(tmp_path)


def test_names_a_picture_of_another_size(tmp_path: Path) -> None:
    _write(tmp_path)
    write_image(tmp_path / "view_01.png", np.zeros((3, 5, 5), np.float32))
    with pytest.raises(UserError, match=r"view_01.png: 5 x 5 pixels, but its camera has 8 x 6"):
        read_views(read_frames(tmp_path))

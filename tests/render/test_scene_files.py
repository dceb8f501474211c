"""Camera orbits, animations, and the files of a reconstructed scene."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deep3dmap.core import Camera, Mesh, Views
from deep3dmap.geometry.cameras import look_at
from deep3dmap.geometry.icosphere import icosphere
from deep3dmap.render.animations import write_animation
from deep3dmap.render.camera_orbit import orbit_of_cameras
from deep3dmap.render.scene_files import TURNS, write_novel_views, write_turntable

CENTRE = np.array([1.0, -2.0, 0.5])
OFFSETS = np.array([(3.0, 0, 1), (0, 3.0, 1), (-3.0, 0, 1), (0, -3.0, 1)])
POSES = np.stack([look_at(CENTRE + offset, CENTRE).numpy() for offset in OFFSETS])
INTRINSICS = np.tile(np.diag([30.0, 30, 1]), (4, 1, 1))


def test_an_orbit_is_as_far_and_as_high_as_the_given_cameras() -> None:
    for camera in orbit_of_cameras(INTRINSICS, POSES, 20, 24, 5):
        offset = camera.world_from_camera[:3, 3] - CENTRE
        assert np.linalg.norm(offset[:2]) == pytest.approx(3, abs=1e-6)
        assert offset[2] == pytest.approx(1, abs=1e-6)
        np.testing.assert_allclose(camera.world_from_camera[:3, 2], -offset / np.linalg.norm(offset), atol=1e-6)
        assert (camera.width, camera.height) == (24, 20)


@pytest.mark.parametrize("name", ["turning.webp", "turning.png"])
def test_an_animation_has_all_its_frames(name: str, tmp_path: Path) -> None:
    frames = [torch.full((3, 8, 10), level) for level in (0.0, 0.5, 1.0)]
    with Image.open(write_animation(frames, tmp_path / name)) as opened:
        assert (opened.n_frames, opened.size) == (3, (10, 8))


def test_what_is_no_animation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a \.webp or a \.png"):
        write_animation([torch.zeros(3, 8, 8)], tmp_path / "turning.gif")
    with pytest.raises(ValueError, match="one size"):
        write_animation([torch.zeros(3, 8, 8), torch.zeros(3, 8, 9)], tmp_path / "turning.webp")
    with pytest.raises(ValueError, match="one size"):
        write_animation([], tmp_path / "turning.webp")


def test_a_scene_turns_and_is_seen_from_elsewhere(tmp_path: Path) -> None:
    asked: list[Camera] = []

    def render(cameras: Sequence[Camera]) -> Views:
        asked.extend(cameras)
        return Views(np.full((len(cameras), 3, 20, 24), len(asked) / TURNS, np.float32))

    vertices, faces = icosphere(1)
    sample = {"images": np.zeros((4, 3, 20, 24)), "intrinsics": INTRINSICS, "world_from_camera": POSES}
    files = write_turntable(Mesh(vertices, faces), sample, tmp_path) + write_novel_views(render, sample, tmp_path)
    assert [file.name for file in files] == ["turntable.png", "turntable.webp", "novel_views.png", "novel_views.webp"]
    assert len(asked) == TURNS
    with Image.open(tmp_path / "novel_views.webp") as opened:
        assert opened.n_frames == TURNS
    assert write_turntable(Mesh(np.zeros((0, 3)), np.zeros((0, 3))), sample, tmp_path) == []
    assert write_novel_views(render, {"images": []}, tmp_path) == []

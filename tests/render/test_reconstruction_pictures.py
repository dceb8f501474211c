"""The overview image of a reconstruction shows every part of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from deep3dmap.core import Mesh, Reconstruction
from deep3dmap.geometry.cameras import look_at
from deep3dmap.render import reconstruction_pictures
from deep3dmap.render.reconstruction_pictures import picture_reconstruction

SPHERE = trimesh.creation.icosphere(subdivisions=3)
PHOTOGRAPH = np.full((3, 60, 60), 0.5, np.float32)
EMPTY = Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
SCAN = {
    "images": [np.full((3, 30, 40), 0.5, np.float32)],
    "intrinsics": np.array([[[50.0, 0, 20], [0, 50, 15], [0, 0, 1]]]),
    "world_from_camera": look_at((3.0, 0, 0), (0, 0, 0)).numpy()[None],
}


@pytest.fixture
def titles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the titles of the tiles in the sheet."""
    seen: list[str] = []
    lay_out = reconstruction_pictures.contact_sheet

    def record(tiles: Any, **options: Any) -> Any:
        seen.extend(title for title, _ in tiles)
        return lay_out(tiles, **options)

    monkeypatch.setattr(reconstruction_pictures, "contact_sheet", record)
    return seen


def test_a_face_is_drawn_over_its_photograph(tmp_path: Path, titles: list[str]) -> None:
    face = Reconstruction("image", "pixel", mesh=Mesh(SPHERE.vertices * 20 + 30, SPHERE.faces[:, ::-1]))
    face.landmarks = np.full((68, 3), 30, np.float32)
    face.position_map = np.random.default_rng(0).random((3, 8, 8), np.float32)
    file = picture_reconstruction(face, {"image": PHOTOGRAPH}, tmp_path / "deep" / "face.png")
    assert titles[:3] == ["photograph", "landmarks", "mesh over the photograph"]
    assert sum(title.startswith("rotated") for title in titles) == 4
    assert titles[-1] == "position map"
    with Image.open(file) as picture:
        assert picture.width > 1600


def test_without_the_photograph_the_face_is_turned(tmp_path: Path, titles: list[str]) -> None:
    face = Reconstruction("image", "pixel", mesh=Mesh(SPHERE.vertices, SPHERE.faces))
    picture_reconstruction(face, {}, tmp_path / "face.png")
    assert all(title.startswith("rotated") for title in titles)


@pytest.mark.parametrize("colored", [False, True])
def test_a_scene_is_seen_from_its_camera_and_from_outside(tmp_path: Path, titles: list[str], colored: bool) -> None:
    colors = np.full_like(SPHERE.vertices, 0.5) if colored else None
    scene = Reconstruction("world", "metre", mesh=Mesh(SPHERE.vertices, SPHERE.faces, colors))
    picture_reconstruction(scene, SCAN, tmp_path / "scene.png")
    assert titles[:2] == ["frame 0", "mesh from frame 0"]
    assert ("mesh from outside" in titles) == colored
    assert "shape without colours" in titles


@pytest.mark.parametrize(("frame", "sample"), [("image", {"image": PHOTOGRAPH}), ("world", SCAN), ("world", {})])
def test_an_empty_mesh_is_said_to_be_empty(tmp_path: Path, titles: list[str], frame: str, sample: dict[str, Any]) -> None:
    picture_reconstruction(Reconstruction(frame, "metre", mesh=EMPTY), sample, tmp_path / "empty.png")
    assert "the mesh is empty" in titles


def test_maps_alone_make_a_picture(tmp_path: Path, titles: list[str]) -> None:
    ones = np.ones((1, 6, 8), np.float32)
    maps = Reconstruction("world", "metre", depth=ones, normals=np.stack([ones] * 3, 1), images=np.stack([ones] * 3, 1))
    picture_reconstruction(maps, {}, tmp_path / "maps.png")
    assert titles == ["depth of view 0", "normals of view 0", "view 0"]


def test_nothing_cannot_be_pictured(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to show"):
        picture_reconstruction(Reconstruction("world", "metre"), {}, tmp_path / "nothing.png")

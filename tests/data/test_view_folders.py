"""Folders of calibrated views as a dataset."""

from pathlib import Path

import numpy as np
import pytest

from deep3dmap.core.errors import UserError
from deep3dmap.core.mesh import Mesh
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.core.ply import to_ply
from deep3dmap.data.datasets.view_folders import ViewFolders, ViewFoldersConfig
from deep3dmap.data.formats.multiview import write_views
from deep3dmap.geometry.cameras import look_at
from deep3dmap.geometry.icosphere import icosphere


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    intrinsics = np.array([[9.0, 0, 4], [0, 9, 3], [0, 0, 1]])
    for name in ("cup", "vase"):
        folder = tmp_path / "objects" / name
        folder.mkdir(parents=True)
        cameras = [Camera(intrinsics, look_at((k, 1.0, 2), (0, 0, 0)).numpy(), 8, 6) for k in range(4)]
        pictures = np.random.default_rng(0).random((4, 3, 6, 8), np.float32)
        write_views(folder, list(pictures), list(np.ones((4, 6, 8), np.float32)), cameras)
        (folder / "mesh.ply").write_bytes(to_ply(Mesh(*icosphere(0))))
    return tmp_path / "objects"


def test_objects_are_samples(objects: Path, tmp_path: Path) -> None:
    dataset = ViewFolders(ViewFoldersConfig(root=str(objects), views=2, meshes=True), tmp_path)
    dataset.prepare()
    split = dataset.split("test")
    assert [split.name(index) for index in range(len(split))] == ["cup", "vase"]
    sample = split[1]
    assert set(sample) == set(dataset.card.provides)
    assert sample["images"].shape == (2, 3, 6, 8)
    np.testing.assert_allclose(sample["world_from_camera"][1, :3, 3], (2, 1, 2))
    assert len(sample["mesh"].faces) == 20
    assert ViewFolders.recognises(objects)
    assert ViewFolders.recognises(objects / "cup")
    one = ViewFolders(ViewFoldersConfig(root=str(objects / "cup")), tmp_path)
    assert "mesh" not in one.card.provides
    assert len(one.split("train")) == 1
    assert one.version != ViewFolders(ViewFoldersConfig(root=str(objects / "cup"), views=3), tmp_path).version


def test_names_what_is_wrong(objects: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.root is empty"):
        ViewFolders(ViewFoldersConfig(), tmp_path).prepare()
    with pytest.raises(UserError, match=r"no transforms\.json in it"):
        ViewFolders(ViewFoldersConfig(root=str(tmp_path)), tmp_path).split("train")
    with pytest.raises(UserError, match="split"):
        ViewFolders(ViewFoldersConfig(root=str(objects)), tmp_path).split("val")
    (objects / "cup" / "mesh.ply").unlink()
    with pytest.raises(UserError, match=r"mesh\.ply: the file is missing"):
        ViewFolders(ViewFoldersConfig(root=str(objects), meshes=True), tmp_path).split("test")[0]

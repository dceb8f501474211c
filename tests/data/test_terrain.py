"""Procedural outdoor scenes: contents of a sample, and consistency of images, depth, surface and sky."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from deep3dmap.core.errors import UserError
from deep3dmap.core.keys import describe_key
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.data.content_hash import hash_folder
from deep3dmap.data.datasets.colmap import Colmap, ColmapConfig
from deep3dmap.data.datasets.terrain import Terrain, TerrainConfig
from deep3dmap.data.scenes.sky import sky
from deep3dmap.geometry.cameras import look_at, transform, unproject
from deep3dmap.ops.rasterize import rasterize_camera

SMALL = {"scenes": 1, "train_views": 6, "val_views": 1, "test_views": 2, "width": 48, "height": 36, "supersample": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Terrain:
    dataset = Terrain(TerrainConfig(**SMALL), tmp_path_factory.mktemp("terrain"))
    assert dataset.missing()[0].count == 1
    dataset.prepare()
    assert not dataset.missing()
    return dataset


def test_a_sample_holds_what_the_card_promises(made: Terrain) -> None:
    for split, held_out in (("train", 1), ("val", 1), ("test", 2)):
        sample = made.split(split)[0]
        assert set(sample) == set(made.card.provides)
        assert all(describe_key(key) for key in sample)
        assert len(sample["images"]) == len(sample["depths"]) == 6
        assert sample["test_images"].shape == (held_out, 3, 36, 48)
        assert sample["test_true_depths"].shape == (held_out, 36, 48)
    assert made.split("test").name(0) == "hamlet_00"


def test_the_scene_is_outdoors(made: Terrain) -> None:
    """The images show sky, and near and far objects over more than a hundred metres."""
    sample = made.split("test")[0]
    depth = np.stack(list(sample["true_depths"]))
    assert 0.05 < (depth == 0).mean() < 0.7
    assert depth[depth > 0].min() < 30
    assert depth.max() > 100
    assert (np.ptp(sample["mesh"].vertices[:, :2], axis=0) > 100).all()
    sky_pixels = sample["images"].transpose(0, 2, 3, 1)[depth == 0]
    assert (sky_pixels[:, 2] > sky_pixels[:, 0] - 0.05).mean() > 0.9  # blue or white
    inside = (sample["world_from_camera"][:, :3, 3] > sample["bounds"][0]) & (
        sample["world_from_camera"][:, :3, 3] < sample["bounds"][1]
    )
    assert inside.all()


def test_depth_is_that_of_the_surface(made: Terrain) -> None:
    sample = made.split("test")[0]
    mesh, pose, depth = sample["mesh"], sample["world_from_camera"][0], sample["true_depths"][0]
    points = transform(torch.from_numpy(mesh.vertices), np.linalg.inv(pose)).contiguous()
    intrinsics = torch.from_numpy(sample["intrinsics"][0])
    drawn = rasterize_camera(points, torch.from_numpy(mesh.faces), intrinsics, 36, 48).depth.numpy()
    # Distant pieces of the ground may fall between the samples of all images.
    near = (depth > 0) & (depth < 60)
    both = near & (drawn > 0)
    assert both.sum() > 0.97 * near.sum()
    # At outlines, pieces behind may be missing.
    assert (np.abs(drawn - depth)[both] < 0.02 + 0.001 * depth[both]).mean() > 0.93


def test_sensed_depth_is_noisy_and_ends(made: Terrain) -> None:
    sample = made.split("test")[0]
    true, sensed = (np.stack(list(sample[key])) for key in ("true_depths", "depths"))
    read = sensed > 0
    assert not read[true == 0].any()
    assert not read[true > 81].any()
    assert np.std(sensed[read] / true[read] - 1) == pytest.approx(0.01, rel=0.15)


def test_the_sky_depends_on_the_direction_only() -> None:
    intrinsics = np.array([[20.0, 0, 16], [0, 20, 12], [0, 0, 1]])
    pose = look_at((0.0, 0, 0), (1.0, 0.5, 0.4)).numpy()
    moved = pose.copy()
    moved[:3, 3] = (30, -7, 5)
    np.testing.assert_array_equal(sky(Camera(intrinsics, pose, 32, 24)), sky(Camera(intrinsics, moved, 32, 24)))


def test_a_scene_is_a_capture_in_colmaps_layout(made: Terrain, tmp_path: Path) -> None:
    ours = made.split("test")[0]
    capture = Colmap(ColmapConfig(root=str(made.root), every=0), tmp_path).split("train")[0]
    assert len(capture["images"]) == 9
    np.testing.assert_allclose(capture["intrinsics"][0], ours["intrinsics"][0])
    places = unproject(ours["true_depths"][0].astype(np.float64), ours["intrinsics"][0], ours["world_from_camera"][0]).numpy()
    near = places[(ours["true_depths"][0] > 0) & (ours["true_depths"][0] < 40)]
    assert ((near > capture["bounds"][0] - 5) & (near < capture["bounds"][1] + 5)).mean() > 0.95


def test_wrong_configurations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="train_views must be at least 2"):
        Terrain(TerrainConfig(train_views=1), tmp_path)
    with pytest.raises(UserError, match="width and height must be at least 16"):
        Terrain(TerrainConfig(width=8), tmp_path)
    with pytest.raises(UserError, match="unknown split of terrain"):
        Terrain(TerrainConfig(), tmp_path).split("all")


def read_all(dataset: Terrain) -> None:
    sample = dataset.split("train")[0]
    for key in ("images", "depths", "true_depths"):
        list(sample[key])


@pytest.mark.parametrize(
    "name", ["bounds.json", "mesh.ply", "depth/train_000.png", "true_depth/train_000.png", "images/train_000.png"]
)
@pytest.mark.parametrize("damage", ["cut", "absent"])
def test_a_damaged_file_of_a_scene_is_named(made: Terrain, tmp_path: Path, name: str, damage: str) -> None:
    shutil.copytree(made.root, tmp_path / "terrain" / made.root.name)
    dataset = Terrain(TerrainConfig(**SMALL), tmp_path)
    file = dataset.root / "hamlet_00" / name
    content = file.read_bytes()
    file.unlink()
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=re.escape(file.name)):
        read_all(dataset)


def test_a_scene_is_the_same_wherever_it_is_made(made: Terrain, tmp_path: Path) -> None:
    again = Terrain(TerrainConfig(**SMALL), tmp_path)
    again.prepare()
    assert hash_folder(again.root) == hash_folder(made.root)
    assert again.version == made.version
    more = Terrain(TerrainConfig(**{**SMALL, "scenes": 2}), tmp_path)
    # The folder does not depend on the number of scenes, so only the second is missing.
    assert more.root == again.root
    assert more.version != again.version
    assert more.missing()[0].count == 1
    assert Terrain(TerrainConfig(**{**SMALL, "seed": 1}), tmp_path).root != again.root

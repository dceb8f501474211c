"""Heads in several views: consistency of the parts of a sample, also with the dataset's settings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.core.errors import UserError
from deep3dmap.core.keys import describe_key
from deep3dmap.data.content_hash import hash_folder
from deep3dmap.data.datasets.multiview_heads import MultiviewHeads, MultiviewHeadsConfig
from deep3dmap.data.scenes.head_extras import vertex_normals
from deep3dmap.data.scenes.head_subject import irradiance
from deep3dmap.data.scenes.light import light_harmonics
from deep3dmap.geometry.cameras import project
from deep3dmap.render.mesh_renderer import render_mesh

SMALL = {"train": 3, "val": 1, "test": 2, "views": 4, "image_size": 64, "grid": 33, "texture_size": 64}


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> MultiviewHeads:
    dataset = MultiviewHeads(MultiviewHeadsConfig(**SMALL, noise=0.0, gamma=1.0), tmp_path_factory.mktemp("cache"))
    dataset.prepare()
    return dataset


def test_samples_hold_what_the_card_says(heads: MultiviewHeads) -> None:
    for name, count in (("train", 3), ("val", 1), ("test", 2)):
        split = heads.split(name)
        assert len(split) == count
        assert set(split[0]) == set(heads.card.provides)
    for key in heads.card.provides:
        describe_key(key)
    sample = heads.split("train")[0]
    shapes = {key: getattr(value, "shape", None) for key, value in sample.items()}
    assert shapes["images"] == (4, 3, 64, 64)
    assert shapes["masks"] == (4, 64, 64)
    assert shapes["landmarks_68_views"] == (4, 68, 2)
    assert shapes["albedo_map"] == (3, 64, 64)
    assert sample["world_from_camera"].dtype == np.float64
    assert sample["masks"].max() == 1


def test_template_makes_the_true_vertices(heads: MultiviewHeads) -> None:
    sample, template = heads.split("test")[1], heads.template()
    parameters = {name: torch.from_numpy(sample[name])[None] for name in ("identity", "expression")}
    vertices = template.vertices(parameters)[0].numpy() @ sample["world_from_template"][:3, :3].T
    np.testing.assert_allclose(vertices + sample["world_from_template"][:3, 3], sample["vertices"], atol=1e-6)
    np.testing.assert_array_equal(sample["mesh"].faces, template.faces.numpy())
    np.testing.assert_array_equal(sample["mesh"].vertices, sample["vertices"])


def test_landmarks_are_projections_and_are_seen_from_their_side(heads: MultiviewHeads) -> None:
    sample, template = heads.split("train")[0], heads.template()
    points = template.landmarks(torch.from_numpy(sample["vertices"])[None])[0]  # type: ignore[index]
    for view in range(4):
        pixels, depth = project(points, sample["intrinsics"][view], np.linalg.inv(sample["world_from_camera"][view]))
        np.testing.assert_allclose(pixels.numpy(), sample["landmarks_68_views"][view], atol=2e-3)
        assert (depth > 0.3).all()
    seen = sample["landmark_visibility"]
    # Yaw grows from the right to the left side of the subject: outer corners 36 of the right and 45 of the left eye.
    assert seen[0, 36] == 1
    assert seen[0, 45] == 0
    assert seen[3, 45] == 1
    assert seen[3, 36] == 0
    assert seen[1:3, 30].all()


def test_masks_are_the_mesh(heads: MultiviewHeads) -> None:
    sample = heads.split("train")[1]
    for view in range(4):
        intrinsics, pose = sample["intrinsics"][view], sample["world_from_camera"][view]
        drawn = render_mesh(sample["vertices"], sample["mesh"].faces, intrinsics, pose, 64, 64).face_id.numpy() >= 0
        assert (drawn != (sample["masks"][view] > 0.5)).mean() < 0.01


def test_picture_is_albedo_times_light(heads: MultiviewHeads) -> None:
    sample = heads.split("train")[2]
    normals = vertex_normals(sample["vertices"].astype(float), sample["mesh"].faces)
    light = _harmonics(normals) @ sample["light_harmonics"]
    albedo = _look_up(sample["albedo_map"], heads.template().uv.numpy())  # type: ignore[union-attr]
    intrinsics, pose = sample["intrinsics"][1], sample["world_from_camera"][1]
    # Vertex colours approximate those of their triangles, so hair, lips and eyes differ somewhat.
    view = render_mesh(sample["vertices"], sample["mesh"].faces, intrinsics, pose, 64, 64)
    corners = torch.from_numpy(sample["mesh"].faces)[view.face_id.clamp(min=0)]
    expected = torch.from_numpy((albedo * light.clip(0.02)).clip(0, 1))[corners].mean(2).numpy().transpose(2, 0, 1)
    inside = sample["masks"][1] == 1
    assert np.median(np.abs(expected - sample["images"][1])[:, inside]) < 0.015


def _harmonics(normals: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    x, y, z = normals.T
    return np.stack([np.ones_like(x), y, z, x, x * y, y * z, 3 * z**2 - 1, x * z, x**2 - y**2], 1)


def test_light_in_nine_harmonics() -> None:
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(50, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    light = rng.uniform(-0.1, 0.1, (10, 3))
    light[0] += 2
    np.testing.assert_allclose(_harmonics(normals) @ light_harmonics(light), irradiance(normals, light), rtol=1e-12)


def _look_up(texture: np.ndarray[Any, Any], uv: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    size = texture.shape[1] - 1
    return texture[:, np.round((1 - uv[:, 1]) * size).astype(int), np.round(uv[:, 0] * size).astype(int)].T


def test_same_bytes_whoever_makes_them(heads: MultiviewHeads, tmp_path: Path) -> None:
    again = MultiviewHeads(MultiviewHeadsConfig(**SMALL, noise=0.0, gamma=1.0), tmp_path)
    again.prepare()
    assert again.version == heads.version
    assert hash_folder(again.root) == hash_folder(heads.root)


def test_splits_share_no_person_unless_asked(tmp_path: Path) -> None:
    small = SMALL | {"train": 2, "test": 2, "views": 1, "image_size": 16, "grid": 17, "recordings": 2}
    for splits, shared in (("identity", False), ("recording", True)):
        dataset = MultiviewHeads(MultiviewHeadsConfig(**small, splits=splits), tmp_path)
        dataset.prepare()
        train, test = dataset.split("train"), dataset.split("test")
        np.testing.assert_array_equal(train[0]["identity"], train[1]["identity"])
        assert not np.array_equal(train[0]["expression"], train[1]["expression"])
        assert not np.array_equal(train[0]["expression"], test[0]["expression"])
        assert np.array_equal(train[0]["identity"], test[0]["identity"]) == shared


def test_refuses_what_cannot_be(heads: MultiviewHeads, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="odd"):
        MultiviewHeads(MultiviewHeadsConfig(grid=32), tmp_path)
    with pytest.raises(UserError, match="splits"):
        MultiviewHeads(MultiviewHeadsConfig(splits="identities"), tmp_path)
    with pytest.raises(UserError, match="data prepare"):
        MultiviewHeads(MultiviewHeadsConfig(), tmp_path).split("train")
    with pytest.raises(UserError, match="split"):
        heads.split("training")

"""The atlas: reading maps, triangles, files."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from deep3dmap.core.errors import UserError
from deep3dmap.geometry.uv_atlas import UVAtlas


def small_atlas(size: int = 32) -> UVAtlas:
    mask = np.zeros((size, size), bool)
    mask[2:-3, 1:-2] = True
    rng = np.random.default_rng(1)
    texels = np.stack([rng.integers(2, size - 3, 68), rng.integers(1, size - 2, 68)], 1)
    weight = np.where(mask, 3 / 16, 0).astype(np.float32)
    weight[tuple(texels.T)] = 1
    return UVAtlas(texels, mask, weight)


def ramp(atlas: UVAtlas) -> np.ndarray:
    rows, columns = np.mgrid[: atlas.size, : atlas.size].astype(np.float32)
    return np.stack([columns, rows, rows + 2 * columns])


def test_landmarks_and_points_are_the_texels() -> None:
    atlas = small_atlas()
    np.testing.assert_array_equal(atlas.landmarks(ramp(atlas))[:, :2], atlas.landmark_texels[:, ::-1])
    points = atlas.points(ramp(atlas))
    np.testing.assert_array_equal(points[:, 1] * atlas.size + points[:, 0], atlas.face_index)


def test_batches_of_tensors_are_read_too() -> None:
    atlas = small_atlas()
    maps = torch.from_numpy(ramp(atlas)).expand(4, 3, -1, -1)
    assert atlas.landmarks(maps).shape == (4, 68, 3)
    np.testing.assert_array_equal(atlas.points(maps)[2].numpy(), atlas.points(ramp(atlas)))


def test_sampling_is_bilinear_and_v_points_up() -> None:
    atlas = small_atlas()
    uv = np.random.default_rng(0).uniform(0, 1, (50, 2))
    sampled = atlas.sample(ramp(atlas), uv)
    np.testing.assert_allclose(sampled[:, 0], uv[:, 0] * 31, atol=1e-4)
    np.testing.assert_allclose(sampled[:, 1], (1 - uv[:, 1]) * 31, atol=1e-4)
    np.testing.assert_allclose(atlas.uv_of_texels(atlas.texels_of_uv(uv)), uv, atol=1e-12)


def test_triangles_cover_full_blocks_and_face_outwards() -> None:
    atlas = small_atlas()
    triangles = atlas.triangles()
    assert len(triangles) == 2 * (27 - 1) * (29 - 1)
    x, y = atlas.points(ramp(atlas)).T[:2]
    corners = np.stack([x, -y], 1)[triangles]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    assert (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] > 0).all()


def test_saved_and_loaded_atlases_are_equal(tmp_path: Path) -> None:
    atlas = small_atlas()
    atlas.save(tmp_path / "atlas.npz")
    again = UVAtlas.load(tmp_path / "atlas.npz")
    for name in ("landmark_texels", "face_mask", "region_weight"):
        np.testing.assert_array_equal(getattr(again, name), getattr(atlas, name))


def test_bad_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "other.npz", face_mask=np.ones((4, 4), bool))
    with pytest.raises(UserError, match=r"text\.npz"):
        UVAtlas.load(tmp_path / "text.npz")
    with pytest.raises(UserError, match=r"other\.npz.*landmark_texels"):
        UVAtlas.load(tmp_path / "other.npz")
    with pytest.raises(UserError, match=r"absent\.npz"):
        UVAtlas.load(tmp_path / "absent.npz")


def test_resized_keeps_landmarks_inside() -> None:
    half = small_atlas(64).resized(16)
    assert half.size == 16
    assert half.face_mask[tuple(half.landmark_texels.T)].all()
    assert half.region_weight[tuple(half.landmark_texels.T)].min() == 1


def test_a_map_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="32"):
        small_atlas().landmarks(np.zeros((3, 16, 16)))


def test_prnet_folder(shared_data: Path) -> None:
    atlas = UVAtlas.from_prnet_folder(shared_data / "data" / "prnet_uv")
    assert (atlas.size, len(atlas.face_index), len(atlas.triangles())) == (256, 43867, 86850)
    assert (atlas.region_weight[tuple(atlas.landmark_texels.T)] == 1).all()
    assert atlas.region_weight[~atlas.face_mask].max() == 0
    assert np.isclose(atlas.region_weight, 48 / 255).sum() == 32477


def test_prnet_folder_with_a_missing_or_foreign_file(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "uv"
    shutil.copytree(shared_data / "data" / "prnet_uv", folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    index = np.loadtxt(folder / "face_ind.txt")
    np.savetxt(folder / "face_ind.txt", index[:-1])
    with pytest.raises(UserError, match=r"face_ind\.txt"):
        UVAtlas.from_prnet_folder(folder)
    (folder / "uv_kpt_ind.txt").unlink()
    with pytest.raises(UserError, match=r"uv_kpt_ind\.txt"):
        UVAtlas.from_prnet_folder(folder)

"""Synthetic faces: exact ground truth, determinism, contents of each split."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from deep3dmap.core.errors import UserError
from deep3dmap.core.keys import describe_key
from deep3dmap.data.datasets.aflw2000 import AFLW2000, AFLW2000Config
from deep3dmap.data.datasets.heads import Heads, HeadsConfig
from deep3dmap.data.datasets.threehundred_w_lp import ThreeHundredWLP, ThreeHundredWLPConfig
from deep3dmap.data.formats.threehundred_w_lp import read_face
from deep3dmap.geometry.face_crop import positions_to_crop, positions_to_image
from deep3dmap.geometry.morphable_model import MorphableModel
from deep3dmap.geometry.uv_atlas import UVAtlas

SMALL = {"train": 4, "val": 2, "test": 3, "image_size": 96, "crop_size": 64, "atlas_size": 64, "texture_size": 64, "grid": 33}


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Heads:
    dataset = Heads(HeadsConfig(**SMALL, train_with_image=True), tmp_path_factory.mktemp("cache"))
    dataset.prepare()
    return dataset


def test_splits_hold_the_documented_keys(heads: Heads) -> None:
    assert [len(heads.split(name)) for name in ("train", "val", "test")] == [4, 2, 3]
    evaluation = {"image", "box", "landmarks_68", "head_pose", "dense_points", "dense_uv", "identity", "expression"}
    training = {"crop", "position_map", "crop_from_image"}
    assert set(heads.split("train")[0]) == evaluation | training
    assert set(heads.split("test")[0]) == evaluation
    plain = Heads(HeadsConfig(**SMALL), heads.root.parent.parent)
    assert set(plain.split("train")[0]) == training
    for key in heads.card.provides:
        describe_key(key)


def test_shapes_types_and_ranges(heads: Heads) -> None:
    sample = heads.split("train")[1]
    assert sample["image"].shape == (3, 96, 96)
    assert sample["crop"].shape == (3, 64, 64)
    assert sample["position_map"].shape == (3, 64, 64)
    assert {sample[k].dtype for k in ("image", "crop", "position_map", "landmarks_68", "box", "dense_points")} == {
        np.dtype(np.float32)
    }
    assert 0 <= sample["crop"].min() < sample["crop"].max() <= 1
    assert sample["position_map"][2].min() == 0
    assert 0 <= sample["dense_uv"].min() < sample["dense_uv"].max() <= 1


def test_the_map_at_the_landmark_texels_is_the_landmarks(heads: Heads) -> None:
    atlas = heads.atlas()
    for sample in heads.split("train"):
        read = atlas.landmarks(sample["position_map"])
        crop = positions_to_crop(sample["landmarks_68"].T, sample["crop_from_image"]).T
        crop[:, 2] += np.median(read[:, 2] - crop[:, 2])
        assert np.linalg.norm(read - crop, axis=1).max() < 1.5
        assert np.abs(read[:, :2] - crop[:, :2]).mean() < 0.5


def test_dense_points_lie_on_the_map(heads: Heads) -> None:
    atlas = heads.atlas()
    sample = heads.split("train")[0]
    image_map = positions_to_image(sample["position_map"], sample["crop_from_image"])
    read = atlas.sample(image_map, sample["dense_uv"])
    distance = np.linalg.norm(read[:, :2] - sample["dense_points"][:, :2], axis=1)
    assert np.quantile(distance, 0.95) < 0.5


def test_yaw_turns_the_nose_to_the_image_left(heads: Heads) -> None:
    for split in ("train", "val", "test"):
        for sample in heads.split(split) if split != "train" else (heads.split("train")[i] for i in range(4)):
            yaw, points = sample["head_pose"][1], sample["landmarks_68"]
            eyes = (points[36] + points[45])[:2] / 2
            across = (points[45] - points[36])[:2]
            if abs(yaw) > 0.2:
                assert np.sign((points[30, :2] - eyes) @ across) == -np.sign(yaw)


def test_the_picture_shows_the_face_where_the_truth_says() -> None:
    # Without occluders and camera effects, the face is brighter in red than in blue, unlike most backgrounds.
    from deep3dmap.data.scenes.head_model import head_model
    from deep3dmap.data.scenes.head_render import RenderSettings, render_head
    from deep3dmap.data.scenes.head_subject import place, sample_subject

    model = head_model(33)
    rng = np.random.default_rng(3)
    subject = sample_subject(rng, model, 0.0)
    landmarks = model.landmarks(model.shape(subject.identity, subject.expression))
    pose = place(subject, landmarks, 128, rng, (0.5, 0.5))
    seen = pose.image(landmarks, 128)
    box = np.concatenate([seen[:, :2].min(0), seen[:, :2].max(0)])
    assert (box[2:] - box[:2]).mean() == pytest.approx(64, abs=0.5)
    image = render_head(subject, pose, RenderSettings(128, 2, 33, 64, 0.0, 0), box, rng)
    assert image.shape == (3, 128, 128)
    assert image.dtype == np.float32
    left, right = seen[39, :2].astype(int), seen[42, :2].astype(int)
    middle = (left + right) // 2
    eye = seen[36:42, :2].mean(0).astype(int)
    # The iris is darker than the bridge of the nose.
    assert image[:, eye[1] - 1 : eye[1] + 2, eye[0] - 1 : eye[0] + 2].min() < image[:, middle[1], middle[0]].mean()


def test_generation_does_not_depend_on_time_or_the_number_of_workers(heads: Heads, tmp_path: Path) -> None:
    again = Heads(HeadsConfig(**SMALL, train_with_image=True), tmp_path)
    again.prepare(workers=2)
    assert again.version == heads.version
    for split, name in (("train", "head_00003.jpg"), ("test", "head_00002.mat"), ("val", "boxes.csv")):
        assert (again.folder(split) / name).read_bytes() == (heads.folder(split) / name).read_bytes(), name
    assert (again.root / "shared" / "model.npz").read_bytes() == (heads.root / "shared" / "model.npz").read_bytes()


def test_only_the_splits_asked_for_are_made_and_equal_ones_are_shared(tmp_path: Path) -> None:
    few = Heads(HeadsConfig(**SMALL), tmp_path)
    assert [(one.title, one.count) for one in few.missing()] == [("heads (train)", 4), ("heads (val)", 2), ("heads (test)", 3)]
    assert not few.root.exists(), "looking makes nothing"
    few.prepare(splits=["test"])
    assert [one.title for one in few.missing()] == ["heads (train)", "heads (val)"]
    assert len(few.split("test")) == 3
    with pytest.raises(UserError, match="the train split of heads is not made yet"):
        few.split("train")
    more = Heads(HeadsConfig(**{**SMALL, "train": 5}), tmp_path)
    assert more.missing(["test"]) == []
    assert more.version != few.version
    with pytest.raises(UserError, match="did you mean 'test'"):
        more.prepare(splits=["tests"])


def test_versions_tell_contents_apart(heads: Heads, tmp_path: Path) -> None:
    other = Heads(HeadsConfig(**{**SMALL, "seed": 1}), tmp_path)
    assert other.version not in (heads.version, Heads(HeadsConfig(**SMALL), tmp_path).version), "known before it is made"
    with pytest.raises(UserError, match="not made yet"):
        other.split("train")
    smaller = Heads(HeadsConfig(**{**SMALL, "crop_size": 32}), heads.root.parent.parent)
    assert smaller.root == heads.root
    assert smaller.version != heads.version
    assert other.root.name != heads.root.name


def test_the_folder_is_a_300w_lp_folder(heads: Heads, tmp_path: Path) -> None:
    model = heads.root / "shared" / "model.npz"
    sample = heads.split("test")[0]
    config = AFLW2000Config(root=str(heads.folder("test")), boxes=str(heads.folder("test") / "boxes.csv"), model=str(model))
    same = AFLW2000(config, tmp_path).split("test")[0]
    for key, value in same.items():
        np.testing.assert_array_equal(value, sample[key], err_msg=key)
    lp = ThreeHundredWLPConfig(root=str(heads.folder("train")), model=str(model), crop_size=64, atlas_size=64)
    np.testing.assert_array_equal(
        ThreeHundredWLP(lp, tmp_path).split("train")[2]["position_map"], heads.split("train")[2]["position_map"]
    )
    UVAtlas.load(heads.root / "shared" / "atlas.npz")


def test_files_agree_with_the_model(heads: Heads) -> None:
    model = MorphableModel.load(heads.root / "shared" / "model.npz")
    face = read_face(heads.folder("val") / "head_00001.mat")
    vertices = face.pose.image(model.shape_of_parameters(face.shape, face.expression), 96)
    np.testing.assert_allclose(model.landmarks(vertices)[:, :2], face.landmarks[:, :2], atol=0.02)


def test_boxes_are_near_the_landmarks(heads: Heads) -> None:
    for sample in heads.split("test"):
        box, points = sample["box"], sample["landmarks_68"][:, :2]
        centre, middle = (box[:2] + box[2:]) / 2, (points.min(0) + points.max(0)) / 2
        side, mean_side = (box[2:] - box[:2]).mean(), (points.max(0) - points.min(0)).mean()
        assert 0.8 < side / mean_side < 1.25
        # A detector's box is higher than the landmarks' box.
        assert np.abs(centre - middle + (0, 0.14 * side)).max() < 0.15 * mean_side


def test_splits_can_be_sent_to_other_processes(heads: Heads) -> None:
    split = pickle.loads(pickle.dumps(heads.split("train")))
    np.testing.assert_array_equal(split[0]["crop"], heads.split("train")[0]["crop"])


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.grid must be odd"):
        Heads(HeadsConfig(grid=64), tmp_path)
    with pytest.raises(UserError, match=r"at least 1"):
        Heads(HeadsConfig(train=0), tmp_path)
    with pytest.raises(UserError, match="val"):
        Heads(HeadsConfig(**SMALL), tmp_path).split("vall")


def test_samples_kept_in_memory_are_those_on_disk(tmp_path: Path) -> None:
    split = Heads(HeadsConfig(train=3, val=1, test=1, image_size=64, crop_size=32, atlas_size=32, keep=2), tmp_path)
    split.prepare()
    training = split.split("train")
    first = [training[index] for index in range(3)]
    first[0].clear()
    again = [training[index] for index in range(3)]
    fresh = split.split("train")
    for index in range(3):
        for key, value in fresh[index].items():
            np.testing.assert_array_equal(again[index][key], value)

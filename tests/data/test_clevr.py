"""CLEVR-like images: consistency of samples, and reading of CLEVR's own layout."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deep3dmap.core.errors import UserError
from deep3dmap.core.keys import describe_key
from deep3dmap.data.content_hash import hash_folder
from deep3dmap.data.datasets.clevr import Clevr, ClevrConfig
from deep3dmap.data.datasets.clevr_v1 import ClevrV1, ClevrV1Config
from deep3dmap.data.formats.clevr import read_scenes
from deep3dmap.data.formats.images import write_image
from deep3dmap.data.scenes.clevr_layout import (
    GAP,
    MARGIN,
    SIZES,
    LayoutRules,
    SceneObject,
    directions,
    relationships,
    sample_camera,
    sample_objects,
)
from deep3dmap.data.scenes.clevr_render import draw, linear, sample_lights
from deep3dmap.data.scenes.clevr_shapes import solid

SMALL = ClevrConfig(train=6, val=1, test=2, image_size=48, fewest_objects=2, most_objects=4, supersample=2)


@pytest.fixture(scope="module")
def clevr(tmp_path_factory: pytest.TempPathFactory) -> Clevr:
    dataset = Clevr(SMALL, tmp_path_factory.mktemp("cache"))
    dataset.prepare()
    return dataset


def test_samples_hold_what_the_card_says(clevr: Clevr) -> None:
    for name, count in (("train", 6), ("val", 1), ("test", 2)):
        split = clevr.split(name)
        assert len(split) == count
        for sample in split:
            assert set(sample) == set(clevr.card.provides)
            assert sample["image"].shape == (3, 48, 48)
            assert sample["image"].dtype == np.float32
            count_of = len(sample["objects"])
            assert 2 <= count_of <= 4
            assert sample["object_masks"].shape == (count_of, 48, 48)
            assert sample["object_positions"].shape == (count_of, 3)
    for key in clevr.card.provides:
        describe_key(key)
    assert clevr.split("test").name(1) == "CLEVR_test_000001"


def test_every_object_is_seen_where_the_scene_says(clevr: Clevr) -> None:
    scenes = read_scenes(clevr.folder("train"), "train")
    split = clevr.split("train")
    for index in range(len(split)):
        sample, objects = split[index], scenes[split.name(index) + ".png"]
        assert sample["object_masks"].sum(0).max() <= 1
        assert (sample["object_masks"].sum((1, 2)) >= 1).all()
        for item, mask in zip(objects, sample["object_masks"]):
            rows, columns = np.nonzero(mask)
            column, row, depth = item["pixel_coords"]
            # Occlusion shifts the centre of the visible part by less than the object's size.
            reach = 1.2 * SIZES[item["size"]] * 48 / 2 / np.tan(np.radians(20)) / depth
            assert abs(columns.mean() + 0.5 - column) < reach
            assert abs(rows.mean() + 0.5 - row) < reach


def test_same_bytes_whoever_makes_them(clevr: Clevr, tmp_path: Path) -> None:
    again = Clevr(SMALL, tmp_path)
    with pytest.raises(UserError, match="data prepare clevr"):
        again.split("train")
    again.prepare()
    assert hash_folder(again.root) == hash_folder(clevr.root)
    assert again.version == clevr.version


def test_splits_are_made_when_they_are_needed_and_shared(clevr: Clevr, tmp_path: Path) -> None:
    dataset = Clevr(SMALL, tmp_path)
    assert {one.title: one.count for one in dataset.missing()} == {"clevr (train)": 6, "clevr (val)": 1, "clevr (test)": 2}
    dataset.prepare(splits=["test"])
    assert [one.title for one in dataset.missing()] == ["clevr (train)", "clevr (val)"]
    larger = Clevr(replace(SMALL, train=7), tmp_path)
    assert larger.missing(["test"]) == []
    assert larger.version != dataset.version == clevr.version
    np.testing.assert_array_equal(larger.split("test")[1]["image"], clevr.split("test")[1]["image"])
    made = ClevrV1(ClevrV1Config(root=str(clevr.folder("train")), image_size=0), tmp_path)
    np.testing.assert_array_equal(made.split("train")[2]["object_masks"], clevr.split("train")[2]["object_masks"])


def test_other_seeds_have_folders_of_their_own(tmp_path: Path) -> None:
    assert Clevr(ClevrConfig(seed=1), tmp_path).root != Clevr(ClevrConfig(), tmp_path).root


def test_objects_stand_apart_on_the_ground() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 3, 5):
        camera = sample_camera(rng, LayoutRules(), 64)
        objects = sample_objects(rng, LayoutRules(sizes=("small",)), count, camera)
        vectors = directions(camera)
        for number, item in enumerate(objects):
            assert item.position[2] == pytest.approx(item.radius)
            for other in objects[:number]:
                offset = np.subtract(item.position, other.position)
                assert np.linalg.norm(offset[:2]) >= SIZES[item.size] + SIZES[other.size] + GAP
                assert abs(offset @ vectors["right"]) > MARGIN
                assert abs(offset @ vectors["behind"]) > MARGIN


def test_directions_are_those_of_the_picture() -> None:
    camera = sample_camera(np.random.default_rng(0), LayoutRules(), 64)
    vectors = directions(camera)
    right, down, forward = (camera.world_from_camera[:3, :3] @ axis for axis in np.eye(3))
    assert vectors["right"] @ right == pytest.approx(1)
    assert vectors["behind"] @ forward > 0.5
    assert vectors["above"] @ down < -0.5
    objects = [
        SceneObject("cube", "small", "red", "metal", tuple(place), 0.0)
        for place in (1.5 * vectors["left"], 1.5 * vectors["behind"])
    ]
    found = relationships(objects, camera)
    assert found["right"] == [[1], []]
    assert found["behind"] == [[1], []]
    assert found["front"] == [[], [0]]


@pytest.mark.parametrize(("shape", "volume"), [("cube", 8.0), ("sphere", 4 / 3 * np.pi), ("cylinder", 2 * np.pi)])
def test_solids_are_closed_and_face_outwards(shape: str, volume: float) -> None:
    body = solid(shape)
    corners = body.vertices[body.faces]
    # Divergence theorem.
    assert np.linalg.det(corners).sum() / 6 == pytest.approx(volume, rel=0.01)
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.einsum("fi,fci->fc", facing, body.normals[body.faces]) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(body.normals, axis=1), 1)


def test_a_picture_shows_colour_shadow_and_highlight() -> None:
    rng = np.random.default_rng(0)
    camera = sample_camera(rng, LayoutRules(field_of_view=20, jitter=0), 64)
    lights = sample_lights(rng)
    ball = {
        material: draw([SceneObject("sphere", "large", "red", material, (0, 0, 0.7), 0)], camera, lights, 2)
        for material in ("rubber", "metal")
    }
    empty = draw([], camera, lights, 2)
    seen = ball["rubber"].object_number == 1
    assert 0.05 < seen.mean() < 0.4
    mean = ball["rubber"].image[:, seen].mean(1) ** 2.2
    assert mean[0] / mean[1] == pytest.approx(linear("red")[0] / linear("red")[1], rel=0.5)
    # Shadow: the ground next to the ball is darker than without it, and never brighter.
    change = (ball["rubber"].image - empty.image)[:, ~seen].mean(0)
    assert change.min() < -0.1
    near_edge = 2 / 255
    assert np.quantile(change, 0.95) < near_edge
    assert ball["metal"].image[:, seen].max() > ball["rubber"].image[:, seen].max()
    np.testing.assert_array_equal(ball["metal"].object_number, ball["rubber"].object_number)


def release(root: Path) -> Path:
    """Create a folder in the release's layout, without masks, and with a test split without scenes."""
    for split in ("train", "test"):
        (root / "images" / split).mkdir(parents=True)
        for index in range(2):
            image = np.zeros((3, 8, 12), np.float32)
            image[0, :, 2:10], image[1, :, 6:10] = 1, 1
            write_image(root / "images" / split / f"CLEVR_{split}_{index:06d}.png", image)
    item = {"shape": "cube", "size": "small", "color": "red", "material": "metal", "rotation": 3.0}
    item |= {"3d_coords": [1, 2, 0.35], "pixel_coords": [1, 2, 9]}
    scenes = [{"image_filename": f"CLEVR_train_{index:06d}.png", "objects": [item] * 2} for index in range(2)]
    (root / "scenes").mkdir()
    (root / "scenes" / "CLEVR_train_scenes.json").write_text(json.dumps({"info": {}, "scenes": scenes}))
    return root


def test_the_release_is_read_and_cut_square(tmp_path: Path) -> None:
    root = release(tmp_path / "CLEVR_v1.0")
    assert ClevrV1.recognises(root)
    dataset = ClevrV1(ClevrV1Config(str(root), image_size=4), tmp_path)
    dataset.prepare()
    sample = dataset.split("train")[1]
    assert set(sample) == {"image", "objects", "object_positions"}
    # The central square is red on the left and yellow on the right.
    assert sample["image"].shape == (3, 4, 4)
    assert sample["image"][0].min() == 1
    np.testing.assert_allclose(sample["image"][1, 0, [0, 3]], [0, 1])
    assert set(dataset.split("test")[0]) == {"image"}
    np.testing.assert_allclose(sample["object_positions"], [[1, 2, 0.35]] * 2)
    again = ClevrV1(ClevrV1Config(str(root), image_size=8), tmp_path)
    assert again.version != dataset.version


def test_names_what_is_wrong(tmp_path: Path) -> None:
    root = release(tmp_path / "clevr")
    with pytest.raises(UserError, match=r"dataset\.root is empty"):
        ClevrV1(ClevrV1Config(), tmp_path).prepare()
    with pytest.raises(UserError, match="no folder images/train"):
        ClevrV1(ClevrV1Config(str(tmp_path)), tmp_path).prepare()
    with pytest.raises(UserError, match=r"dataset\.crop=20 exceeds the image size 12x8"):
        ClevrV1(ClevrV1Config(str(root), crop=20), tmp_path).split("train")[0]
    with pytest.raises(UserError, match="did you mean 'train'"):
        ClevrV1(ClevrV1Config(str(root)), tmp_path).split("trian")
    with pytest.raises(UserError, match="no images in it"):
        ClevrV1(ClevrV1Config(str(root)), tmp_path).split("val")
    with pytest.raises(UserError, match=r"must be from 1 to most_objects=2"):
        Clevr(ClevrConfig(fewest_objects=3, most_objects=2), tmp_path)
    with pytest.raises(UserError, match="did you mean 'large'"):
        Clevr(ClevrConfig(sizes=["larg"]), tmp_path)
    with pytest.raises(UserError, match="do not fit into the scene; use fewer"):
        sample_objects(
            np.random.default_rng(0), LayoutRules(reach=0.5), 5, sample_camera(np.random.default_rng(0), LayoutRules(), 64)
        )
    (root / "scenes" / "CLEVR_train_scenes.json").write_text(json.dumps({"scenes": [{"image_filename": "a", "objects": [{}]}]}))
    with pytest.raises(UserError, match="an object of a lacks shape"):
        ClevrV1(ClevrV1Config(str(root)), tmp_path).split("train")
    for spoilt in (
        b'{"scenes": [{"image_filename": "a", "objects": [3]}]}',
        b'{"scenes": [7]}',
        b"[]",
        b"\xff\xfe",
        b"[" * 100000,
    ):
        (root / "scenes" / "CLEVR_train_scenes.json").write_bytes(spoilt)
        with pytest.raises(UserError, match=r"_scenes.json: not a readable CLEVR scene file \(.*\); restore it from the"):
            read_scenes(root, "train")

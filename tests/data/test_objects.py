"""Procedural objects: contents of a sample, and consistency of images, masks and mesh."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from deep3dmap.core.errors import UserError
from deep3dmap.core.keys import describe_key
from deep3dmap.core.options import check_options
from deep3dmap.data.content_hash import hash_folder
from deep3dmap.data.datasets.objects import Objects, ObjectsConfig
from deep3dmap.data.scenes.object_designs import DESIGNS
from deep3dmap.metrics.silhouette import silhouette_ious

SMALL = {"objects": 2, "train_views": 24, "val_views": 2, "test_views": 3, "image_size": 48}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    dataset = Objects(ObjectsConfig(**SMALL), tmp_path_factory.mktemp("objects"))
    assert dataset.missing()[0].count == 2
    dataset.prepare()
    return dataset


def test_a_sample_holds_what_the_card_promises(made: Objects) -> None:
    for split, held_out in (("train", 2), ("val", 2), ("test", 3)):
        sample = made.split(split)[0]
        assert set(sample) == set(made.card.provides)
        assert len(sample["test_images"]) == held_out
        assert len(sample["images"]) == 24
        assert all(describe_key(key) for key in sample)
    assert [made.split("test").name(index) for index in range(2)] == list(DESIGNS)[:2]
    assert not made.missing()


def test_there_are_at_least_eight_objects_and_all_can_be_drawn(tmp_path: Path) -> None:
    tiny = {"train_views": 2, "val_views": 1, "test_views": 1, "image_size": 32, "supersample": 1}
    split = Objects(ObjectsConfig(**tiny), tmp_path).split("test")
    assert len(split) >= 8
    for sample in split:
        covered = sample["masks"] > 0.5
        assert 0.05 < covered.mean() < 0.6
        colors = sample["images"].transpose(0, 2, 3, 1)[covered]
        assert (colors.std(0) > 0.05).any()
        assert len(sample["mesh"].faces) > 100
        assert (sample["mesh"].vertices >= sample["bounds"][0]).all()
        assert (sample["mesh"].vertices <= sample["bounds"][1]).all()


def test_mesh_and_masks_agree_in_every_view(made: Objects) -> None:
    sample = made.split("test")[0]
    mesh = sample["mesh"]
    ious = silhouette_ious(
        mesh.vertices, mesh.faces, sample["masks"], sample["intrinsics"], sample["world_from_camera"], range(24)
    )
    assert min(ious) > 0.9


def test_pixels_outside_of_the_masks_are_white(made: Objects) -> None:
    sample = made.split("test")[1]
    empty = sample["test_masks"] == 0
    assert empty.any()
    assert (sample["test_images"].transpose(0, 2, 3, 1)[empty] == 1).all()


def test_objects_do_not_depend_on_how_many_there_are(made: Objects, tmp_path: Path) -> None:
    alone = Objects(ObjectsConfig(**{**SMALL, "objects": 1}), tmp_path)
    ours, theirs = alone.split("test")[0], made.split("test")[0]
    np.testing.assert_array_equal(ours["images"], theirs["images"])
    assert alone.root.name == made.root.name
    assert alone.version != made.version
    assert Objects(ObjectsConfig(**{**SMALL, "seed": 1}), tmp_path).version != made.version


def test_wrong_configurations_are_refused(tmp_path: Path) -> None:
    for words, options in (
        ("dataset.objects=0: must be from 1 to", {"objects": 0}),
        ("train_views must be at least 2", {"train_views": 1}),
        ("unknown dataset.background of objects 'own'", {"background": "own"}),
    ):
        with pytest.raises(UserError, match=words):
            Objects(ObjectsConfig(**options), tmp_path)
    with pytest.raises(UserError, match=r"dataset\.background=own: not a valid value"):
        check_options(ObjectsConfig, {"background": "own"}, "dataset.", searched=False)
    with pytest.raises(UserError, match="unknown split of objects"):
        Objects(ObjectsConfig(), tmp_path).split("all")


@pytest.mark.parametrize("name", ["mesh.ply", "transforms_train.json", "train/r_0.png", "test/r_1.png"])
@pytest.mark.parametrize("damage", ["cut", "absent"])
def test_a_damaged_file_of_an_object_is_named(made: Objects, tmp_path: Path, name: str, damage: str) -> None:
    first = next(iter(DESIGNS))
    shutil.copytree(made.root / first, tmp_path / "objects" / made.root.name / first)
    dataset = Objects(ObjectsConfig(**{**SMALL, "objects": 1}), tmp_path)
    file = dataset.root / first / name
    content = file.read_bytes()
    file.unlink()
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    # Transforms files list image names without suffix.
    with pytest.raises(UserError, match=re.escape(file.stem)):
        dataset.split("test")[0]


def test_an_object_is_the_same_wherever_it_is_made(tmp_path: Path) -> None:
    tiny = ObjectsConfig(objects=1, train_views=2, val_views=1, test_views=1, image_size=16, supersample=1)
    made = [Objects(tiny, tmp_path / str(index)) for index in range(2)]
    for dataset in made:
        dataset.prepare()
    assert hash_folder(made[0].root) == hash_folder(made[1].root)

"""CompCars: lists, labels, crops, and errors for damaged copies."""

from pathlib import Path

import numpy as np
import pytest

from deep3dmap.core.errors import UserError
from deep3dmap.data.datasets.compcars import CompCars, CompCarsConfig
from deep3dmap.data.formats.compcars import read_label
from deep3dmap.data.formats.images import write_image


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Create six photographs of two cars, 40 x 20, dark except for the car's box at columns 20 to 29 and rows 5 to 14."""
    for index in range(6):
        below = Path(f"{1 + index // 3}/7/2010/{index}")
        image = np.zeros((3, 20, 40), np.float32)
        image[:, 5:15, 20:30] = 1
        for kind, suffix in (("image", ".jpg"), ("label", ".txt")):
            (tmp_path / kind / below).parent.mkdir(parents=True, exist_ok=True)
            file = (tmp_path / kind / below).with_suffix(suffix)
            if kind == "image":
                write_image(file, image)
            else:
                file.write_text(f"{1 + index % 2}\n1\n21 6 30 15\n")
    return tmp_path


def test_squares_of_the_middle_and_of_the_car(root: Path, tmp_path: Path) -> None:
    middle = CompCars(CompCarsConfig(str(root), image_size=10, keep=5), tmp_path).split("train")
    assert len(middle) == 5
    assert middle.name(0) == "1_7_2010_1"
    image = middle[0]["image"]
    assert image.shape == (3, 10, 10)
    # The centre crop covers columns 10 to 29, so the car is on the right.
    assert image[:, 3:7, 5:].mean() > 0.8
    assert image[:, 3:7, :4].mean() < 0.2
    np.testing.assert_array_equal(middle[0]["image"], image)
    car = CompCars(CompCarsConfig(str(root), image_size=10, cut="box"), tmp_path).split("train")[0]["image"]
    assert car.mean() > 0.9
    wide = CompCars(CompCarsConfig(str(root), image_size=10, cut="none"), tmp_path).split("train")[0]["image"]
    assert wide.shape == (3, 10, 20)


def test_labels_count_from_zero(root: Path) -> None:
    assert read_label(root, "1/7/2010/0.jpg") == (1, (20, 5, 30, 15))


def test_splits_follow_the_release_or_every_tenth(root: Path, tmp_path: Path) -> None:
    dataset = CompCars(CompCarsConfig(str(root), test_every=3), tmp_path)
    dataset.prepare()
    assert [dataset.split("test").name(index) for index in range(2)] == ["1_7_2010_0", "2_7_2010_3"]
    version = dataset.version
    lists = root / "train_test_split" / "classification"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("1/7/2010/2.jpg\n")
    (lists / "test.txt").write_text("2/7/2010/4.jpg\n2/7/2010/5.jpg\n")
    dataset = CompCars(CompCarsConfig(str(root)), tmp_path)
    assert len(dataset.split("train")) == 1
    assert dataset.split("test").name(0) == "2_7_2010_4"
    assert dataset.version != version
    (lists / "train.txt").write_text("1/7/2010/9.jpg\n")
    with pytest.raises(UserError, match=r"lists 1/7/2010/9\.jpg, which is not below"):
        dataset.split("train")
    (lists / "train.txt").write_bytes(b"\xff\xfe1/7")
    with pytest.raises(UserError, match=r"train\.txt: not a readable list of photographs"):
        dataset.split("train")


def test_viewpoints_are_chosen_by_label(root: Path, tmp_path: Path) -> None:
    fronts = CompCars(CompCarsConfig(str(root), viewpoints=["front"], test_every=2), tmp_path)
    assert len(fronts.split("test")) == 3
    with pytest.raises(UserError, match="no photograph of the train split has a viewpoint listed"):
        fronts.split("train")


def test_names_what_is_wrong(root: Path, tmp_path: Path) -> None:
    assert CompCars.recognises(root)
    with pytest.raises(UserError, match=r"dataset\.root is empty"):
        CompCars(CompCarsConfig(), tmp_path).prepare()
    with pytest.raises(UserError, match="no folder image in it"):
        CompCars(CompCarsConfig(str(root / "label")), tmp_path).prepare()
    with pytest.raises(UserError, match="did you mean 'front_side'"):
        CompCars(CompCarsConfig(str(root), viewpoints=["frontside"]), tmp_path)
    (root / "label" / "1/7/2010/0.txt").write_text("1\n1\n21 six 30 15\n")
    with pytest.raises(UserError, match="expected lines with a viewpoint"):
        read_label(root, "1/7/2010/0.jpg")
    (root / "label" / "1/7/2010/0.txt").write_text("1\n1\n21 1e400 30 15\n")
    with pytest.raises(UserError, match="expected lines with a viewpoint"):
        read_label(root, "1/7/2010/0.jpg")
    (root / "label" / "1/7/2010/1.txt").write_text("1\n1\n21 6 3 15\n")
    with pytest.raises(UserError, match="is empty or outside"):
        read_label(root, "1/7/2010/1.jpg")
    with pytest.raises(UserError, match="the label is missing"):
        read_label(root, "1/7/2010/77.jpg")

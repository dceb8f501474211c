"""Procedural faces with exact depth, folders in their layout, and photographs cropped to squares."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deep3dmap.core.dataset import Sample
from deep3dmap.core.errors import UserError
from deep3dmap.data.content_hash import hash_folder
from deep3dmap.data.datasets.face_depth import FaceDepth, FaceDepthConfig
from deep3dmap.data.datasets.square_images import SquareImages, SquareImagesConfig, cut
from deep3dmap.data.datasets.synface import Synface, SynfaceConfig
from deep3dmap.data.formats.face_depth import read_depth, read_truth, write_depth
from deep3dmap.geometry.relief import ReliefCamera

SMALL = {"train": 6, "val": 1, "test": 2, "image_size": 64, "grid": 49, "texture_size": 64, "supersample": 2}


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> FaceDepth:
    dataset = FaceDepth(FaceDepthConfig(**SMALL), tmp_path_factory.mktemp("cache"))  # type: ignore[arg-type]
    dataset.prepare()
    return dataset


def shading(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Return the diffuse terms computed from the exact depth with the given light and with the mirrored light."""
    depth = torch.from_numpy(sample["relief_depth"])[None]
    normals = ReliefCamera(depth.shape[1]).normals(depth)[0].numpy()
    _, _, x, y = sample["relief_light"]
    terms = []
    for sign in (1, -1):
        direction = np.array([sign * x, y, 1])
        terms.append((normals @ (direction / np.linalg.norm(direction))).clip(0))
    return terms[0], terms[1]


def test_samples_are_whole_and_exact(faces: FaceDepth) -> None:
    split = faces.split("train")
    assert len(split) == 6
    for index in range(6):
        sample = split[index]
        assert sample["image"].shape == (3, 64, 64)
        depth, mask = sample["relief_depth"], sample["mask"]
        assert depth.shape == mask.shape == (64, 64)
        assert 0.92 < depth.min() < 0.97
        assert depth.max() == np.float32(1.1)
        # The silhouette and the depth come from one surface, so they agree except for pixels crossed by the outline.
        sure = (mask == 0) | (mask == 1)
        assert ((depth < 1.1) == (mask > 0.5))[sure].all()
        assert 0.2 < mask.mean() < 0.7
        assert sample["relief_view"].shape == (6,)
        assert sample["relief_light"].shape == (4,)


def test_the_light_brightens_what_its_shading_says(faces: FaceDepth) -> None:
    better = []
    for sample in faces.split("train"):
        true, mirrored = shading(sample)
        skin = sample["relief_depth"] < 1.0
        brightness = sample["image"].mean(0)
        better.append(np.corrcoef(brightness[skin], true[skin])[0, 1] - np.corrcoef(brightness[skin], mirrored[skin])[0, 1])
    assert np.mean(better) > 0.1


def test_sizes_show_the_same_heads(tmp_path: Path) -> None:
    pictures = []
    for size in (32, 128):
        dataset = FaceDepth(FaceDepthConfig(**{**SMALL, "train": 1, "test": 1, "image_size": size}), tmp_path)  # type: ignore[arg-type]
        dataset.prepare()
        pictures.append(dataset.split("train")[0])
    np.testing.assert_array_equal(pictures[0]["relief_view"], pictures[1]["relief_view"])
    coarse = pictures[1]["image"].reshape(3, 32, 4, 32, 4).mean((2, 4))
    assert np.abs(coarse - pictures[0]["image"]).mean() < 0.02


def test_the_same_plan_gives_the_same_bytes(faces: FaceDepth, tmp_path: Path) -> None:
    again = FaceDepth(FaceDepthConfig(**SMALL), tmp_path)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="not made yet"):
        again.split("train")
    again.prepare(workers=2)
    assert again.version == faces.version
    assert hash_folder(again.root) == hash_folder(faces.root)


def test_a_split_is_made_without_the_others(tmp_path: Path) -> None:
    dataset = FaceDepth(FaceDepthConfig(**SMALL), tmp_path)  # type: ignore[arg-type]
    missing = dataset.missing(["val", "test"])
    assert {one.title: one.count for one in missing} == {"face_depth (val)": 1, "face_depth (test)": 2}
    dataset.prepare(splits=["val"])
    assert len(dataset.split("val")) == 1
    with pytest.raises(UserError, match="the test split of face_depth is not made yet"):
        dataset.split("test")


def test_its_folder_is_one_that_others_may_bring(faces: FaceDepth, tmp_path: Path) -> None:
    assert Synface.recognises(faces.folder("test"))
    dataset = Synface(SynfaceConfig(root=str(faces.folder("test")), crop=32, image_size=16), tmp_path)
    dataset.prepare()
    cropped, whole = dataset.split("test")[0], faces.split("test")[0]
    assert cropped["image"].shape == (3, 16, 16)
    middle = whole["relief_depth"][16:48, 16:48]
    assert abs(cropped["relief_depth"].mean() - middle.mean()) < 2e-3
    assert dataset.split("test").name(0) == "head_00000"
    assert set(cropped) == set(dataset.card.provides)


def test_all_that_is_read_counts_in_the_version_and_only_it_is_promised(faces: FaceDepth, tmp_path: Path) -> None:
    root = tmp_path / "faces"
    for split in ("train", "val", "test"):
        shutil.copytree(faces.folder(split), root, dirs_exist_ok=True)

    def opened() -> Synface:
        return Synface(SynfaceConfig(root=str(root), crop=0), tmp_path / "cache")

    versions = [opened().version]
    mask = next((root / "test" / "mask").iterdir())
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(mask)
    versions.append(opened().version)
    truth = root / "val" / "truth.csv"
    truth.write_text(truth.read_text().replace(",0.", ",1.", 1))
    versions.append(opened().version)
    assert len(set(versions)) == 3
    shutil.rmtree(root / "train" / "mask")
    truth.unlink()
    for split in ("train", "val", "test"):
        assert {"image", "relief_depth"} == set(opened().card.provides) <= set(opened().split(split)[0])


def test_depth_files(tmp_path: Path) -> None:
    depth = np.linspace(0.9, 1.1, 48, dtype=np.float32).reshape(6, 8).clip(0.9, 1.1)
    write_depth(tmp_path / "deep.png", depth)
    np.testing.assert_allclose(read_depth(tmp_path / "deep.png"), depth, atol=2e-6)
    Image.fromarray(np.full((4, 4), 51, np.uint8)).save(tmp_path / "grey.png")
    np.testing.assert_allclose(read_depth(tmp_path / "grey.png"), 1.1 - 0.2 * 0.2, rtol=1e-6)
    with pytest.raises(UserError, match="outside"):
        write_depth(tmp_path / "far.png", depth + 1)


def test_what_a_folder_lacks_is_named(faces: FaceDepth, tmp_path: Path) -> None:
    def of(root: Path) -> Synface:
        return Synface(SynfaceConfig(root=str(root)), tmp_path)

    with pytest.raises(UserError, match=r"dataset\.root is empty"):
        _ = Synface(SynfaceConfig(), tmp_path).root
    with pytest.raises(UserError, match="no folder train"):
        of(tmp_path).prepare()
    (tmp_path / "train" / "image").mkdir(parents=True)
    with pytest.raises(UserError, match="no images"):
        of(tmp_path).prepare()
    Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(tmp_path / "train" / "image" / "1_image.png")
    with pytest.raises(UserError, match="no depth map"):
        of(tmp_path).prepare()
    (tmp_path / "train" / "depth").mkdir()
    Image.fromarray(np.zeros((8, 12), np.uint8)).save(tmp_path / "train" / "depth" / "1_depth.png")
    with pytest.raises(UserError, match="square"):
        of(tmp_path).split("train")[0]
    (tmp_path / "train" / "truth.csv").write_text("name,rx\n")
    with pytest.raises(UserError, match="columns"):
        read_truth(tmp_path / "train")
    truth = (faces.folder("val") / "val" / "truth.csv").read_text()
    head, row, *_ = truth.splitlines()
    for spoilt, words in (
        (f"{head}\n{row.rpartition(',')[0]},nan\n", r"NaN or infinity in the row of 'head_00000'"),
        (f"{head}\n{row},1\n", "not a readable table of names and 10 numbers"),
    ):
        (tmp_path / "train" / "truth.csv").write_text(spoilt)
        with pytest.raises(UserError, match=words):
            read_truth(tmp_path / "train")
    with pytest.raises(UserError, match="power of two"):
        FaceDepth(FaceDepthConfig(image_size=48), tmp_path)
    with pytest.raises(UserError, match="split"):
        faces.split("all")


def photographs(root: Path, count: int) -> Path:
    (root / "deep").mkdir(parents=True)
    for index in range(count):
        pixels = np.full((20, 30, 3), 10 * index, np.uint8)
        pixels[:, 5:25, 0] = 200
        Image.fromarray(pixels).save(root / ("deep" if index % 2 else ".") / f"{index}.png")
    return root


def test_the_middle_of_photographs(tmp_path: Path) -> None:
    root = photographs(tmp_path / "photos", 10)
    dataset = SquareImages(SquareImagesConfig(root=str(root), image_size=8, val=2, test=3), tmp_path / "cache")
    dataset.prepare()
    names = [split.name(i) for split in map(dataset.split, ("train", "val", "test")) for i in range(len(split))]
    assert len(names) == len(set(names)) == 10
    for sample in dataset.split("test"):
        assert sample["image"].shape == (3, 8, 8)
        np.testing.assert_allclose(sample["image"][0], 200 / 255, atol=1e-6)
    again = SquareImages(SquareImagesConfig(root=str(root), image_size=8, val=2, test=3, seed=1), tmp_path / "cache")
    assert again.version != dataset.version
    few = SquareImages(SquareImagesConfig(root=str(root), image_size=8, val=1, test=1, limit=4), tmp_path / "cache")
    assert len(few.split("train")) == 4
    none = SquareImages(SquareImagesConfig(root=str(root), val=0, test=3), tmp_path / "cache")
    with pytest.raises(UserError, match=r"no photograph in the split val; dataset\.val=0"):
        none.split("val")
    with pytest.raises(UserError, match="hold out"):
        SquareImages(SquareImagesConfig(root=str(root)), tmp_path).prepare()


def test_a_list_of_crops(tmp_path: Path) -> None:
    root = photographs(tmp_path / "photos", 4)
    listed = tmp_path / "crops.txt"
    listed.write_text("0.png 0 0 0 20 20\ndeep/1.png,1,-5,-5,10,10\n2.png test 5 0 20 20\n")
    dataset = SquareImages(SquareImagesConfig(root=str(root), crops=str(listed), image_size=20), tmp_path / "cache")
    assert [len(dataset.split(name)) for name in ("train", "val", "test")] == [1, 1, 1]
    image = dataset.split("train")[0]["image"]
    assert (image[0, :, :5] == 0).all()
    np.testing.assert_allclose(image[0, :, 5:], 200 / 255)
    listed.write_text("0.png 0 0 0 20 20\n")
    with pytest.raises(UserError, match=r"no photograph in the split test; dataset\.crops lists none"):
        SquareImages(SquareImagesConfig(root=str(root), crops=str(listed)), tmp_path).split("test")
    for line, words in [
        ("0.png 0 0 0 20", "expected"),
        ("0.png 7 0 0 20 20", "expected"),
        ("0.png 0 0 0 20 10", "square"),
        ("9.png 0 0 0 20 20", "does not exist"),
        ("0.png 0 a 0 20 20", "must be numbers"),
    ]:
        listed.write_text(f"# comment\n{line}\n")
        with pytest.raises(UserError, match=words) as caught:
            SquareImages(SquareImagesConfig(root=str(root), crops=str(listed)), tmp_path).prepare()
        assert "crops.txt:2" in str(caught.value)


def test_crops_beyond_the_border_repeat_it() -> None:
    image = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    np.testing.assert_array_equal(cut(image, (-1, -2, 3, 3))[0], [[0, 0, 1], [0, 0, 1], [0, 0, 1]])
    np.testing.assert_array_equal(cut(image, (2, 1, 3, 3))[0], [[6, 7, 7], [10, 11, 11], [10, 11, 11]])
    np.testing.assert_array_equal(cut(image, None)[0], image[0, :, :3])

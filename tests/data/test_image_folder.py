from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deep3dmap.core.errors import UserError
from deep3dmap.data.datasets.image_folder import ImageFolder, ImageFolderConfig


def folder_of(tmp_path: Path, *names: str) -> Path:
    for shade, name in enumerate(names):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 12, 3), 10 * shade, np.uint8)).save(file)
    return tmp_path


def split(root: Path, **fields: object):
    return ImageFolder(ImageFolderConfig(root=str(root), **fields), cache=root / ".cache").split("test")


def test_images_come_in_natural_order(tmp_path: Path) -> None:
    found = split(folder_of(tmp_path, "10.png", "2.png", "b.jpg", "deep/1.png"))
    assert [found.name(i) for i in range(len(found))] == ["2", "10", "b"]
    assert found[0]["image"].shape == (3, 8, 12)
    np.testing.assert_allclose(found[0]["image"], 10 / 255, rtol=1e-6)


def test_names_are_unique(tmp_path: Path) -> None:
    found = split(folder_of(tmp_path, "a.png", "a.bmp", "deep/a.png", "c.png"), recursive=True)
    assert [found.name(i) for i in range(4)] == ["a.bmp", "a.png", "c", "deep_a.png"]


def test_grey_alpha_and_16_bit_images_are_read_as_rgb(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 51, np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(np.full((4, 4, 4), 51, np.uint8)).save(tmp_path / "alpha.png")
    Image.fromarray(np.full((4, 4), 13107, np.uint16)).save(tmp_path / "deep.png")
    for sample in split(tmp_path):
        assert sample["image"].shape == (3, 4, 4)
        np.testing.assert_allclose(sample["image"], 0.2, atol=1e-6)


def test_transforms_are_chosen_by_config_and_repeat_exactly(tmp_path: Path) -> None:
    pipeline = [
        {"type": "Resize", "scale": [6, 4]},
        {"type": "ColorJitter", "brightness": 0.5},
        {"type": "RandomFlip", "prob": 0.5},
    ]
    root = folder_of(tmp_path, "a.png", "b.png", "c.png")
    before = np.random.get_state()[1].copy()
    first, second, other = (split(root, pipeline=pipeline, seed=seed) for seed in (1, 1, 2))
    assert first[2]["image"].shape == (3, 4, 6)
    np.testing.assert_array_equal(first[2]["image"], second[2]["image"])
    assert np.abs(first[2]["image"] - other[2]["image"]).max() > 0
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ({"type": "Resise"}, r"pipeline\[0\]: unknown transform 'Resise'; did you mean 'Resize'"),
        ({"type": "ColorJitter", "brightness": -1}, "at least 0"),
        ({"type": "Resize", "size": 3}, "does not accept"),
        ({"scale": 3}, "type: NAME"),
    ],
)
def test_wrong_transforms_are_named(tmp_path: Path, step: dict, says: str) -> None:
    with pytest.raises(UserError, match=says):
        split(folder_of(tmp_path, "a.png"), pipeline=[step])


def test_missing_libgl_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "mmcv.transforms":
                raise ImportError("libGL.so.1: cannot open shared object file")

    import sys

    for name in [name for name in sys.modules if name.startswith("mmcv")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(UserError, match="libgl1"):
        split(folder_of(tmp_path, "a.png"), pipeline=[{"type": "Resize", "scale": [4, 4]}])


@pytest.mark.parametrize(
    ("root", "says"), [("", "dataset.root=FOLDER"), ("absent", "no such folder"), (".", "no images in it")]
)
def test_a_missing_root_says_what_to_pass(tmp_path: Path, root: str, says: str) -> None:
    found = ImageFolder(ImageFolderConfig(root=str(tmp_path / root) if root else ""), cache=tmp_path)
    with pytest.raises(UserError, match=says):
        found.prepare()


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    with pytest.raises(UserError, match=r"a\.png: not a readable image"):
        split(tmp_path)[0]


def test_version_follows_content_and_pipeline(tmp_path: Path) -> None:
    root = folder_of(tmp_path, "a.png")
    versions = {ImageFolder(ImageFolderConfig(root=str(root), seed=s), cache=tmp_path / ".c").version for s in (1, 1, 2)}
    assert len(versions) == 2

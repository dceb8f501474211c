"""CompCars: web photographs of cars, selected by viewpoint and cropped around the car."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Sample, Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.options import option
from deep3dmap.data.content_hash import hash_data, hash_files
from deep3dmap.data.datasets.given_root import given_root
from deep3dmap.data.formats.compcars import VIEWPOINTS, Label, listed, read_label
from deep3dmap.data.formats.images import read_image
from deep3dmap.data.formats.resizing import resize
from deep3dmap.data.small_pictures import KeptImages, SquareCrop

SPLITS = ("train", "test")


@dataclass
class CompCarsConfig:
    """Location of CompCars, selection of photographs, and crop options."""

    root: str = option("", "the folder with image/, label/ and train_test_split/ of the release")
    viewpoints: list[str] = option([], "viewpoints to use, such as [front, front_side]; none = all", choices=tuple(VIEWPOINTS))
    cut: str = option(
        "middle",
        "middle: the central square; box: a square around the car; none: the full width",
        choices=("middle", "box", "none"),
    )
    image_size: int = option(64, "shorter side of the images in pixels", low=8, high=1024)
    test_every: int = option(10, "without the release's split lists, every n-th photograph is a test sample", low=2)
    keep: int = option(0, "number of training images cached in memory", low=0)


class CompCarsSplit:
    """Photographs of cars as samples with the key `image`."""

    def __init__(self, root: Path, names: list[str], config: CompCarsConfig, keep: int) -> None:
        self._root, self._names, self._config = root, names, config
        self._images = KeptImages(self._read, keep)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def name(self, index: int) -> str:
        """Return make, model, year and file joined by underscores."""
        return Path(self._names[index]).with_suffix("").as_posix().replace("/", "_")

    def __getitem__(self, index: int) -> Sample:
        """Read photograph `index`."""
        return {"image": self._images[index]}

    def _read(self, index: int) -> NDArray[np.float32]:
        file, size = self._root / "image" / self._names[index], self._config.image_size
        image = read_image(file)
        if self._config.cut == "none":
            factor = size / min(image.shape[1:])
            return resize(image, *(max(size, round(side * factor)) for side in image.shape[1:]))
        if self._config.cut == "box":
            image = _around(image, read_label(self._root, self._names[index]))
        return SquareCrop(size=size)(image, file)


class CompCars:
    """CompCars' web photographs, read from the user's copy of the release."""

    card = DatasetCard(
        title="CompCars: photographs of cars",
        provides=("image",),
        splits=SPLITS,
        frame="image",
        unit="pixel",
        licence="for non-commercial research only, no redistribution",
        source="L. Yang et al., A Large-Scale Car Dataset for Fine-Grained Categorization and Verification, CVPR 2015",
        needs_root=True,
    )
    config_type = CompCarsConfig

    def __init__(self, config: CompCarsConfig, cache: Path) -> None:
        self._config, self._cache = config, cache
        for viewpoint in config.viewpoints:
            if viewpoint not in VIEWPOINTS:
                raise unknown("viewpoint in dataset.viewpoints", str(viewpoint), VIEWPOINTS)
        if config.cut not in ("middle", "box", "none"):
            raise unknown("dataset.cut", config.cut, ("middle", "box", "none"))

    @property
    def root(self) -> Path:
        """Dataset folder. Raises UserError if it is not set or does not contain image/."""
        root = given_root(self._config.root, "the folder of CompCars that contains image/")
        if not (root / "image").is_dir():
            raise UserError(
                f"{root}: no folder image in it; dataset.root is the folder of CompCars that contains image/ and label/"
            )
        return root

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether `path` has the layout of CompCars."""
        return (path / "image").is_dir() and (path / "label").is_dir()

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Check that both splits have photographs."""
        for split in SPLITS:
            self.split(split)

    @property
    def version(self) -> str:
        """Hash of the photographs and labels that are read, and of the reading options."""
        root = self.root
        splits = [self._names(split) for split in SPLITS]
        names = [name for split in splits for name in split]
        files = [root / "image" / name for name in names]
        files += [file for name in names if (file := root / "label" / Path(name).with_suffix(".txt")).is_file()]
        options = {name: value for name, value in asdict(self._config).items() if name not in ("root", "keep")}
        return hash_data([hash_files(root, files, self._cache), options, [len(split) for split in splits]])

    def split(self, name: str) -> Split:
        """Return a split; raises UserError for a name other than train and test."""
        if name not in SPLITS:
            raise unknown("split of compcars", name, SPLITS)
        names = self._names(name)
        if not names:
            raise UserError(f"{self.root}: no photograph of the {name} split has a viewpoint listed in dataset.viewpoints")
        return CompCarsSplit(self.root, names, self._config, self._config.keep if name == "train" else 0)

    def _names(self, split: str) -> list[str]:
        names = listed(self.root, split)
        if names is None:
            testing = self._all[:: self._config.test_every]
            names = testing if split == "test" else sorted(set(self._all) - set(testing))
        wanted = {VIEWPOINTS[viewpoint] for viewpoint in self._config.viewpoints}
        return [name for name in names if not wanted or read_label(self.root, name).viewpoint in wanted]

    @cached_property
    def _all(self) -> list[str]:
        folder = self.root / "image"
        names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.jpg"))
        if not names:
            raise UserError(f"{folder}: no photographs (*.jpg) in it or below")
        return names


def _around(image: NDArray[np.float32], label: Label) -> NDArray[np.float32]:
    """Cut out the square around the car's box, shifted and clipped to fit inside the image."""
    height, width = image.shape[1:]
    left, top, right, bottom = label.box
    side = min(max(right - left, bottom - top), height, width)
    x = min(max((left + right - side) // 2, 0), width - side)
    y = min(max((top + bottom - side) // 2, 0), height - side)
    return image[:, y : y + side, x : x + side]

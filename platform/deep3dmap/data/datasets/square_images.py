"""Photographs cropped to squares: CelebA with a list of crops, or any folder, such as LSUN, with centre crops."""

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
from deep3dmap.data.datasets.image_folder import find_images
from deep3dmap.data.formats.crop_list import Crop, read_crops
from deep3dmap.data.formats.images import read_image
from deep3dmap.data.formats.resizing import middle, resize


@dataclass
class SquareImagesConfig:
    """Location of the photographs, crops, and split sizes."""

    root: str = option("", "folder of photographs; subfolders are read too")
    crops: str = option("", "list with a line `file split x0 y0 width height` per photograph, as for CelebA's crops")
    image_size: int = option(64, "side of the squares in pixels", low=8, high=1024)
    val: int = option(200, "number of validation photographs, drawn by seed; ignored with a list of crops", low=0)
    test: int = option(1000, "number of test photographs, drawn by seed; ignored with a list of crops", low=0)
    limit: int = option(0, "maximum number of photographs per split, drawn by seed (0 = all)", low=0)
    seed: int = option(0, "seed of the splits", low=0)


class SquareImages:
    """Photographs as squares of one size, without ground truth."""

    card = DatasetCard(
        title="Photographs cropped to squares",
        provides=("image",),
        splits=("train", "val", "test"),
        frame="image",
        unit="pixel",
        licence="depends on the photographs",
        source="provided by the user, such as CelebA (Liu et al., ICCV 2015) or LSUN (Yu et al., 2015)",
        needs_root=True,
    )
    config_type = SquareImagesConfig

    def __init__(self, config: SquareImagesConfig, cache: Path) -> None:
        self._config, self._cache = config, cache

    @property
    def root(self) -> Path:
        """Dataset folder. Raises UserError if it is not set or does not exist."""
        return given_root(self._config.root, "a folder of photographs")

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Check that there are photographs and that all listed ones exist; nothing is written."""
        _ = self._splits

    @property
    def version(self) -> str:
        """Hash of the photographs that are used and of the crop options."""
        files = [crop.file for split in self._splits.values() for crop in split]
        given = Path(self._config.crops).expanduser() if self._config.crops else None
        listed = hash_files(given.parent, [given], self._cache) if given else ""
        options = {name: value for name, value in asdict(self._config).items() if name not in ("root", "crops")}
        return hash_data([hash_files(self.root, files, self._cache), listed, options])

    def split(self, name: str) -> Split:
        """Return a split; raises UserError for a name other than train, val and test, and for an empty one."""
        if name not in self.card.splits:
            raise unknown("split of square_images", name, self.card.splits)
        if not self._splits[name]:
            what = "dataset.crops lists none" if self._config.crops else f"dataset.{name}=0"
            raise UserError(f"{self.root}: no photograph in the split {name}; {what}")
        return SquareSplit(self.root, self._splits[name], self._config.image_size)

    @cached_property
    def _splits(self) -> dict[str, list[Crop]]:
        if self._config.crops:
            splits = read_crops(Path(self._config.crops).expanduser(), self.root)
            return {name: self._limited(crops) for name, crops in splits.items()}
        files = find_images(self.root, recursive=True)
        order = np.random.default_rng(self._config.seed).permutation(len(files))
        held = self._config.val + self._config.test
        if held >= len(files):
            raise UserError(f"{self.root}: {len(files)} photographs, but dataset.val and dataset.test hold out {held}")
        parts = np.split(order, [self._config.val, held])
        chosen = dict(zip(("val", "test", "train"), parts))
        return {name: self._limited([Crop(files[i], None) for i in sorted(chosen[name])]) for name in self.card.splits}

    def _limited(self, crops: list[Crop]) -> list[Crop]:
        limit = self._config.limit
        if not limit or limit >= len(crops):
            return crops
        kept = np.random.default_rng(self._config.seed).choice(len(crops), limit, replace=False)
        return [crops[index] for index in sorted(kept)]


class SquareSplit:
    """Squares as samples with the key `image`."""

    def __init__(self, root: Path, crops: list[Crop], size: int) -> None:
        self._root, self._crops, self._size = root, crops, size

    def __len__(self) -> int:
        return len(self._crops)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def name(self, index: int) -> str:
        """Return the path of a photograph relative to the root, joined by `_`."""
        return "_".join(self._crops[index].file.relative_to(self._root).with_suffix("").parts)

    def __getitem__(self, index: int) -> Sample:
        """Read and crop photograph `index`."""
        crop = self._crops[index]
        square = cut(read_image(crop.file), crop.box)
        return {"image": resize(square, self._size, self._size)}


def cut(image: NDArray[np.float32], box: tuple[int, int, int, int] | None) -> NDArray[np.float32]:
    """Crop `box` (x0, y0, width, height) from (3, H, W) with border replication; None crops the largest central square."""
    height, width = image.shape[1:]
    if box is None:
        return middle(image, min(height, width))
    rows = np.arange(box[1], box[1] + box[3]).clip(0, height - 1)
    columns = np.arange(box[0], box[0] + box[2]).clip(0, width - 1)
    return np.ascontiguousarray(image[:, rows[:, None], columns])

"""A plain folder of photographs, without ground truth: input of `reconstruct` and of methods that learn from images alone."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Sample, Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.options import option
from deep3dmap.data.content_hash import hash_data, hash_files
from deep3dmap.data.formats.images import SUFFIXES, read_image
from deep3dmap.data.formats.sevenscenes import is_scan
from deep3dmap.data.image_pipeline import ImagePipeline


@dataclass
class ImageFolderConfig:
    """Where the images are and what is done to them."""

    root: str = option("", "folder of images, or one image")
    box: list = option([], "left, top, right, bottom of the subject in pixels (none = the central square of half the picture)")
    recursive: bool = option(False, "read the folders below it too")
    pipeline: list = option([], "transforms of mmcv applied in turn, such as [{type: Resize, scale: [256, 256]}]")
    seed: int = option(0, "seed of the random transforms")


class ImageSplit:
    """Images as samples with the keys `image` and `box`."""

    def __init__(self, files: list[Path], names: list[str], pipeline: ImagePipeline | None, box: list[float]) -> None:
        self._files, self._names, self._pipeline, self._box = files, names, pipeline, box

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Sample:
        """Read image `index`; random transforms depend on the seed and the index only."""
        image = read_image(self._files[index])
        image = self._pipeline(image, index) if self._pipeline else image
        return {"image": image, "box": np.asarray(self._box or _central_square(*image.shape[1:]), np.float32)}

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def name(self, index: int) -> str:
        """Return the name of an image: its stem, or the whole path where stems are not unique."""
        return self._names[index]


class ImageFolder:
    """A folder of images in natural order (2.png before 10.png). There is no truth, so every split is the whole folder."""

    card = DatasetCard(
        title="A folder of images",
        provides=("image", "box"),
        splits=("train", "test"),
        frame="image",
        unit="pixel",
        licence="that of the images",
        source="the user's own",
        needs_root=True,
    )
    config_type = ImageFolderConfig

    def __init__(self, config: ImageFolderConfig, cache: Path) -> None:
        self._config, self._cache = config, cache

    @property
    def root(self) -> Path:
        """The folder that is read; raises UserError if it is not given or absent."""
        if not self._config.root:
            raise UserError("dataset.root is empty; pass dataset.root=FOLDER, a folder of images")
        root = Path(self._config.root).expanduser()
        if not root.exists():
            raise UserError(f"{root}: no such folder; pass dataset.root=FOLDER, a folder of images")
        return root

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether this is an image or a folder of images that are neither frames of a scan nor fitted faces."""
        if path.is_file():
            return path.suffix.lower() in SUFFIXES
        if is_scan(path) or next(path.glob("*.mat"), None):
            return False
        return any(file.suffix.lower() in SUFFIXES for file in path.iterdir())

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Check that there are images."""
        find_images(self.root, self._config.recursive)

    @property
    def version(self) -> str:
        """Hash of the images and of what is done to them."""
        how = {name: value for name, value in asdict(self._config).items() if name != "root"}
        return hash_data(
            [
                hash_files(
                    self.root if self.root.is_dir() else self.root.parent,
                    find_images(self.root, self._config.recursive),
                    self._cache,
                ),
                how,
            ]
        )

    def split(self, name: str) -> Split:
        """Return the images; raises UserError for a name other than train and test."""
        if name not in self.card.splits:
            raise unknown("split of image_folder", name, self.card.splits)
        files = find_images(self.root, self._config.recursive)
        pipeline = ImagePipeline(self._config.pipeline, self._config.seed) if self._config.pipeline else None
        if self._config.box and len(self._config.box) != 4:
            raise UserError(f"dataset.box is [left, top, right, bottom] in pixels, got {list(self._config.box)}")
        return ImageSplit(files, _names(self.root, files), pipeline, self._config.box)


def find_images(root: Path, recursive: bool = False) -> list[Path]:
    """Return the image files of a folder in natural order; raises UserError if there are none."""
    if root.is_file():
        return [root]
    found = root.rglob("*") if recursive else root.iterdir()
    files = [file for file in found if file.suffix.lower() in SUFFIXES and file.is_file() and not file.name.startswith(".")]
    if not files:
        raise UserError(f"{root}: no images in it; known are {', '.join(SUFFIXES)}")
    return sorted(files, key=lambda file: natural_key(file.relative_to(root).as_posix()))


def _central_square(height: int, width: int) -> list[float]:
    half = min(height, width) / 4
    return [width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half]


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key under which numbers in a name count as numbers."""
    parts = re.split(r"(\d+)", text.lower())
    return [(1, int(part), part) if part.isdigit() else (0, 0, part) for part in parts]


def _names(root: Path, files: list[Path]) -> list[str]:
    stems = Counter(file.stem for file in files)
    return [file.stem if stems[file.stem] == 1 else file.relative_to(root).as_posix().replace("/", "_") for file in files]

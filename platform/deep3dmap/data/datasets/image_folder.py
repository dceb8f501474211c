"""Photographs or video frames without ground truth, used by `reconstruct` and by methods that learn from images."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Sample, Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.options import option
from deep3dmap.data.content_hash import hash_data, hash_files
from deep3dmap.data.datasets.subject_boxes import BoxFinder, subject_boxes
from deep3dmap.data.formats import video
from deep3dmap.data.formats.images import SUFFIXES, read_image
from deep3dmap.data.formats.sevenscenes import is_scan
from deep3dmap.data.image_pipeline import ImagePipeline


@dataclass
class ImageFolderConfig:
    """Location of the images, subject boxes, and transforms."""

    root: str = option("", "folder of images, one image, or a video")
    box: list = option([], "left, top, right, bottom of the subject in pixels, for all images (none = use boxes)")
    boxes: str = option(
        "center",
        "center: the central square of half the shorter side; auto, cascade, mediapipe or a YuNet .onnx: a "
        "face detector; a CSV name,left,top,right,bottom; a folder of landmark files (.pts, .txt, .npy)",
    )
    tight: bool = option(False, "given boxes tightly enclose the landmarks instead of being face-detector boxes")
    every: int = option(1, "use every n-th frame of a video", low=1, high=1000)
    recursive: bool = option(False, "also read subfolders")
    pipeline: list = option([], "mmcv transforms applied in order, such as [{type: Resize, scale: [256, 256]}]")
    seed: int = option(0, "seed of the random transforms")


class ImageSplit:
    """Images as samples with the keys `image` and `box`."""

    def __init__(self, images: "Images", pipeline: ImagePipeline | None, box_of: BoxFinder) -> None:
        self._images, self._pipeline, self._box_of = images, pipeline, box_of

    def __len__(self) -> int:
        return len(self._images.names)

    def __getitem__(self, index: int) -> Sample:
        """Read image `index`; random transforms depend only on the seed and the index."""
        image = self._images.read(index)
        image = self._pipeline(image, index) if self._pipeline else image
        return {"image": image, "box": self._box_of(self.name(index), image)}

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def name(self, index: int) -> str:
        """Return the stem of an image file, its relative path if stems are not unique, or `frame_00012` for a video."""
        return self._images.names[index]


@dataclass(frozen=True)
class Images:
    """Names of images and a function that reads one by index."""

    names: list[str]
    read: Callable[[int], NDArray[np.float32]]


class ImageFolder:
    """A folder of images in natural order (2.png before 10.png). Without ground truth, every split is the whole folder."""

    card = DatasetCard(
        title="A folder of images",
        provides=("image", "box"),
        splits=("train", "test"),
        frame="image",
        unit="pixel",
        licence="depends on the images",
        source="provided by the user",
        needs_root=True,
    )
    config_type = ImageFolderConfig

    def __init__(self, config: ImageFolderConfig, cache: Path) -> None:
        self._config, self._cache = config, cache

    @property
    def root(self) -> Path:
        """Dataset folder. Raises UserError if it is not set or does not exist."""
        if not self._config.root:
            raise UserError("dataset.root is empty; pass dataset.root=FOLDER, a folder of images")
        root = Path(self._config.root).expanduser()
        if not root.exists():
            raise UserError(f"{root}: no such folder; pass dataset.root=FOLDER, a folder of images")
        return root

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether `path` is an image, a video, or a folder of images other than scan frames or fitted faces."""
        if path.is_file():
            return path.suffix.lower() in (*SUFFIXES, *video.SUFFIXES)
        if is_scan(path) or next(path.glob("*.mat"), None):
            return False
        return any(file.suffix.lower() in SUFFIXES for file in path.iterdir())

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Check that there are images."""
        find_images(self.root, self._config.recursive)

    @property
    def version(self) -> str:
        """Hash of the images and of the configuration."""
        options = {name: value for name, value in asdict(self._config).items() if name != "root"}
        return hash_data(
            [
                hash_files(
                    self.root if self.root.is_dir() else self.root.parent,
                    find_images(self.root, self._config.recursive),
                    self._cache,
                ),
                options,
            ]
        )

    def split(self, name: str) -> Split:
        """Return the images; raises UserError for a name other than train and test."""
        if name not in self.card.splits:
            raise unknown("split of image_folder", name, self.card.splits)
        c = self._config
        pipeline = ImagePipeline(c.pipeline, c.seed) if c.pipeline else None
        return ImageSplit(self._images(), pipeline, subject_boxes(c.box, c.boxes, c.tight))

    def _images(self) -> Images:
        if self.root.suffix.lower() in video.SUFFIXES:
            frames = video.Video(self.root, self._config.every)
            return Images([f"frame_{index * self._config.every:05d}" for index in range(len(frames))], frames.__getitem__)
        files = find_images(self.root, self._config.recursive)
        return Images(_names(self.root, files), lambda index: read_image(files[index]))


def find_images(root: Path, recursive: bool = False) -> list[Path]:
    """Return the image files of a folder in natural order; raises UserError if there are none."""
    if root.is_file():
        return [root]
    found = root.rglob("*") if recursive else root.iterdir()
    files = [file for file in found if file.suffix.lower() in SUFFIXES and file.is_file() and not file.name.startswith(".")]
    if not files:
        raise UserError(f"{root}: no images in it; supported formats are {', '.join(SUFFIXES)}")
    return sorted(files, key=lambda file: natural_key(file.relative_to(root).as_posix()))


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key that compares numbers in a name by value."""
    parts = re.split(r"(\d+)", text.lower())
    return [(1, int(part), part) if part.isdigit() else (0, 0, part) for part in parts]


def _names(root: Path, files: list[Path]) -> list[str]:
    stems = Counter(file.stem for file in files)
    return [file.stem if stems[file.stem] == 1 else file.relative_to(root).as_posix().replace("/", "_") for file in files]

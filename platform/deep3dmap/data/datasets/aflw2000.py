"""AFLW2000-3D: a test set of 2000 photographs of faces in all poses with 68 fitted landmarks."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Sample, Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.files import read_npy
from deep3dmap.core.options import option
from deep3dmap.data.content_hash import hash_data, hash_files
from deep3dmap.data.datasets.fitted_faces import (
    FaceModel,
    FaceSplit,
    SampleContents,
    find_photographs,
    load_face_model,
    model_files,
)
from deep3dmap.data.datasets.given_root import given_root
from deep3dmap.data.formats.threehundred_w_lp import read_boxes, read_face
from deep3dmap.geometry.face_crop import detector_box_of_square

ALL_IMAGES = 2000
# AFLW2000-3D images are cropped to 450x450 with the faces in roughly the same place. This is the square covered by a typical
# face crop: its centre and side as fractions of the image size. All images use the same square, so that it reveals nothing
# about the individual face.
CENTRAL_MIDDLE = (0.505, 0.610)
CENTRAL_SIDE = 0.66
PLACES = ("root", "boxes", "names", "landmarks", "model", "atlas")
BIN_NAMES = ("0 to 30", "30 to 60", "60 to 90")


@dataclass
class AFLW2000Config:
    """Location of the photographs and source of the face boxes."""

    root: str = option("", "folder with image00002.jpg, image00002.mat and so on")
    boxes: str = option("center", "center: one central square for all; or a CSV name,left,top,right,bottom; or a 2000x4 .npy")
    names: str = option("", "file listing the photographs to test on, one name per line, such as a balanced subset of 696")
    balanced: int = option(0, "number of test photographs per yaw bin, drawn by seed (232 each = 696 in total; 0 = all)", low=0)
    seed: int = option(0, "seed of the balanced subset", low=0)
    landmarks: str = option("", "2000 x 2 x 68 .npy of alternative annotations in 0-based pixels, such as the reannotated ones")
    model: str = option("", "morphable model (.npz, or its licensed files) used for the fits; adds dense ground truth")
    atlas: str = option("", "selects the face vertices of a licensed model: PRNet's uv-data folder or an atlas (.npz)")
    atlas_size: int = option(256, "side of position maps in texels; used only with a model", low=16, high=1024)
    one_based: bool = option(True, "fits use 1-based pixels, as in MATLAB; false: 0-based, as in face3d's example")


class AFLW2000:
    """AFLW2000-3D. Face boxes are not derived from the ground-truth landmarks unless a file of such boxes is given."""

    card = DatasetCard(
        title="AFLW2000-3D: faces in all poses with fitted landmarks",
        provides=("image", "box", "landmarks_68", "head_pose", "dense_points", "dense_uv", "identity", "expression"),
        splits=("test",),
        frame="image: x right, y down, z towards the camera",
        unit="pixel",
        licence="non-commercial research",
        source="Zhu et al., Face Alignment Across Large Poses: A 3D Solution, CVPR 2016",
        needs_root=True,
    )
    config_type = AFLW2000Config

    def __init__(self, config: AFLW2000Config, cache: Path) -> None:
        self._config, self._cache = config, cache

    @property
    def root(self) -> Path:
        """Dataset folder. Raises UserError if it is not set or does not exist."""
        return given_root(self._config.root, "the folder of AFLW2000-3D")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether `path` is a folder of photographs with a .mat fit next to each."""
        return path.is_dir() and any(file.with_suffix(".mat").is_file() for file in path.glob("*.jpg"))

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Check that there are photographs and that each has a box; nothing is written."""
        self.split("test")

    @property
    def version(self) -> str:
        """Hash of the photographs, the fits, the boxes and the model."""
        files = [file.with_suffix(suffix) for file in find_photographs(self.root) for suffix in (".jpg", ".mat")]
        c = self._config
        named_files = (c.boxes if c.boxes != "center" else "", c.names, c.landmarks)
        others = [Path(name).expanduser() for name in named_files if name]
        others += model_files(self._config.model, self._config.atlas)
        extra = [hash_files(file.parent, [file], self._cache) for file in others]
        options = {
            name: value
            for name, value in asdict(self._config).items()
            if name not in ("root", "boxes", "names", "landmarks", "model", "atlas")
        }
        return hash_data([hash_files(self.root, files, self._cache), extra, options])

    def split(self, name: str) -> Split:
        """Return the photographs, sorted by name unless `names` sets another order."""
        if name not in self.card.splits:
            raise unknown("split of aflw2000", name, self.card.splits)
        everything = find_photographs(self.root)
        boxes = boxes_of(self._config.boxes, [file.stem for file in everything])
        chosen = self._select_photographs(everything)
        contents = SampleContents(evaluation=True, training=False, crop_size=0, seed=0)
        split = FaceSplit([(file.stem, file) for file in chosen], contents, self._model, boxes)
        return Reannotated(split, *self._annotations(everything)) if self._config.landmarks else split

    def _select_photographs(self, files: list[Path]) -> list[Path]:
        if self._config.names:
            return named(files, Path(self._config.names).expanduser())
        if self._config.balanced:
            return balanced(files, self._config.balanced, self._config.seed)
        return files

    def _annotations(self, files: list[Path]) -> tuple[NDArray[np.float32], dict[str, int]]:
        file = Path(self._config.landmarks).expanduser()
        points = _read_table(file, [one.stem for one in files], (2, 68))
        return points.transpose(0, 2, 1) + np.float32(0.5), {one.stem: row for row, one in enumerate(files)}

    @cached_property
    def _model(self) -> FaceModel | None:
        c = self._config
        return load_face_model(c.model, c.atlas, c.atlas_size, c.one_based)


@dataclass(frozen=True)
class GivenBoxes:
    """Boxes read from a file, keyed by photograph name."""

    boxes: dict[str, NDArray[np.float32]]

    def __call__(self, name: str, size: tuple[int, int]) -> NDArray[np.float32]:
        """Return the box of a photograph."""
        return self.boxes[name]


def central_box(name: str, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the detector box of the central square of an image with `size` (height, width) in pixels."""
    height, width = size
    side = CENTRAL_SIDE * min(height, width)
    return detector_box_of_square(CENTRAL_MIDDLE[0] * width - side / 2, CENTRAL_MIDDLE[1] * height - side / 2, side)


def boxes_of(source: str, names: list[str]) -> Callable[[str, tuple[int, int]], NDArray[np.float32]]:
    """Return a function for the boxes of photographs, see AFLW2000Config.boxes; raises UserError if one of `names` has none."""
    if source == "center":
        return central_box
    file = Path(source).expanduser()
    if not file.is_file():
        raise UserError(f"{file}: no such file; dataset.boxes must be 'center', a CSV or the 2000x4 .npy of crop boxes")
    boxes = _roi_boxes(file, names) if file.suffix == ".npy" else read_boxes(file)
    missing = [name for name in names if name not in boxes]
    if missing:
        raise UserError(f"{file}: no box for '{missing[0]}' ({len(missing)} of {len(names)} photographs have none)")
    return GivenBoxes(boxes)


@dataclass(frozen=True)
class Reannotated:
    """A split whose 68 landmarks take x and y from other annotations; z remains from the fit.

    points: (2000, 68, 2) pixels. rows: row of each photograph in `points`, by name.
    """

    faces: FaceSplit
    points: NDArray[np.float32]
    rows: dict[str, int]

    def __len__(self) -> int:
        return len(self.faces)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Sample:
        """Return a sample of the split with the replaced landmarks."""
        sample = self.faces[index]
        landmarks = sample["landmarks_68"].copy()
        landmarks[:, :2] = self.points[self.rows[self.name(index)]]
        return sample | {"landmarks_68": landmarks}

    def name(self, index: int) -> str:
        """Return the name of a photograph."""
        return self.faces.name(index)


def named(files: list[Path], listing: Path) -> list[Path]:
    """Return the photographs listed in a file, in its order; names may include a folder and a suffix.

    Raises UserError if the list cannot be read, is empty or contains an unknown photograph.
    """
    try:
        lines = listing.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{listing}: not a readable list of names ({error})") from error
    known = {file.stem: file for file in files}
    names = [Path(line).stem for line in lines]
    missing = [name for name in names if name not in known]
    if missing or not names:
        problem = f"'{missing[0]}' is not in the folder ({len(missing)} of {len(names)})" if missing else "the list is empty"
        raise UserError(f"{listing}: {problem}")
    return [known[name] for name in names]


def balanced(files: list[Path], count: int, seed: int) -> list[Path]:
    """Draw `count` photographs from each yaw bin (up to 30, 60 and 90 degrees); raises UserError if a bin has fewer."""
    degrees = np.array([abs(float(np.degrees(read_face(file.with_suffix(".mat")).pose.angles[1]))) for file in files])
    chosen: list[int] = []
    for name, members in zip(BIN_NAMES, (degrees <= 30, (degrees > 30) & (degrees <= 60), degrees > 60)):
        inside = np.flatnonzero(members)
        if len(inside) < count:
            raise UserError(f"dataset.balanced={count}: only {len(inside)} photographs have a yaw of {name} degrees")
        chosen += np.random.default_rng(seed).choice(inside, count, replace=False).tolist()
    return [files[index] for index in sorted(chosen)]


def _roi_boxes(file: Path, names: list[str]) -> dict[str, NDArray[np.float32]]:
    """Read 3DDFA's table of crop squares, one row per photograph sorted by name; they are derived from the true landmarks.

    Each row is a crop square (pixel centres at integers), which is converted to the detector box that yields this crop.
    """
    rows = _read_table(file, names, (4,))
    squares = zip(rows[:, 0] + 0.5, rows[:, 1] + 0.5, (rows[:, 2:] - rows[:, :2]).mean(1))
    return {name: detector_box_of_square(left, top, side) for name, (left, top, side) in zip(names, squares)}


def _read_table(file: Path, names: list[str], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Read a table with a row of `shape` for each of the 2000 photographs, sorted by name."""
    rows = read_npy(file, ".npy")
    if rows.shape != (ALL_IMAGES, *shape):
        raise UserError(f"{file}: expected {'x'.join(map(str, (ALL_IMAGES, *shape)))} numbers, got {rows.shape}")
    if len(names) != ALL_IMAGES:
        raise UserError(f"{file}: has a row for each of {ALL_IMAGES} photographs, but the folder has {len(names)}")
    return np.asarray(rows, np.float32)

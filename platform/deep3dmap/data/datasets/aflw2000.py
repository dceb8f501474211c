"""AFLW2000-3D: 2000 photographs of faces in all poses with 68 fitted landmarks, for testing."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.options import option
from deep3dmap.data.content_hash import hash_data, hash_files
from deep3dmap.data.datasets.fitted_faces import FaceModel, FaceSplit, Reading, find_photographs, load_model, model_files
from deep3dmap.data.formats.threehundred_w_lp import read_boxes
from deep3dmap.geometry.face_crop import detector_box_of_square

ALL_IMAGES = 2000
# AFLW2000-3D comes cut to 450x450 with the faces in much the same place. This is the square that a crop of such a face
# covers, as shares of the picture's width and height: its middle and its side. One square for every picture, so that it
# says nothing about the face in it.
CENTRAL_MIDDLE = (0.505, 0.610)
CENTRAL_SIDE = 0.66


@dataclass
class AFLW2000Config:
    """Where the photographs are and where the face boxes come from."""

    root: str = option("", "folder with image00002.jpg, image00002.mat and so on")
    boxes: str = option("center", "center: one central square for all; or a CSV name,left,top,right,bottom; or a 2000x4 .npy")
    model: str = option("", "morphable model (.npz, or its licensed files) the fits were made with; adds dense ground truth")
    atlas: str = option("", "which vertices of a licensed model are face: PRNet's uv-data folder or an atlas (.npz)")
    atlas_size: int = option(256, "side of position maps in texels; matters with a model only", low=16, high=1024)
    one_based: bool = option(True, "fits count pixels from 1, as MATLAB made them; false: as the example of face3d takes them")


class AFLW2000:
    """AFLW2000-3D. The boxes never come from a photograph's own landmarks unless a file of such boxes is given."""

    card = DatasetCard(
        title="AFLW2000-3D: faces in all poses with fitted landmarks",
        provides=("image", "box", "landmarks_68", "head_pose", "dense_points", "dense_uv"),
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
        """The folder that is read; raises UserError if it is not given or absent."""
        if not self._config.root:
            raise UserError("dataset.root is empty; pass dataset.root=FOLDER, the folder of AFLW2000-3D")
        root = Path(self._config.root).expanduser()
        if not root.is_dir():
            raise UserError(f"{root}: no such folder; pass dataset.root=FOLDER, the folder of AFLW2000-3D")
        return root

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether this is a folder of photographs with fits beside them."""
        return path.is_dir() and any(file.with_suffix(".mat").is_file() for file in path.glob("*.jpg"))

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Check that there are photographs and that every one has a box; nothing is written."""
        self.split("test")

    @property
    def version(self) -> str:
        """Hash of the photographs, the fits, the boxes and the model."""
        files = [file.with_suffix(suffix) for file in find_photographs(self.root) for suffix in (".jpg", ".mat")]
        others = [] if self._config.boxes == "center" else [Path(self._config.boxes).expanduser()]
        others += model_files(self._config.model, self._config.atlas)
        extra = [hash_files(file.parent, [file], self._cache) for file in others]
        how = {name: value for name, value in asdict(self._config).items() if name not in ("root", "boxes", "model", "atlas")}
        return hash_data([hash_files(self.root, files, self._cache), extra, how])

    def split(self, name: str) -> Split:
        """Return the photographs, by name."""
        if name not in self.card.splits:
            raise unknown("split of aflw2000", name, self.card.splits)
        files = find_photographs(self.root)
        boxes = boxes_of(self._config.boxes, [file.stem for file in files])
        reading = Reading(evaluation=True, training=False, crop_size=0, seed=0)
        return FaceSplit([(file.stem, file) for file in files], reading, self._model, boxes)

    @cached_property
    def _model(self) -> FaceModel | None:
        model = load_model(self._config.model, self._config.atlas)
        return None if model is None else FaceModel(model, self._config.atlas_size, self._config.one_based)


@dataclass(frozen=True)
class GivenBoxes:
    """Boxes from a file, by name."""

    boxes: dict[str, NDArray[np.float32]]

    def __call__(self, name: str, size: tuple[int, int]) -> NDArray[np.float32]:
        """Return the box of a photograph."""
        return self.boxes[name]


def central_box(name: str, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the detector box of the central square of a picture of (height, width) pixels."""
    height, width = size
    side = CENTRAL_SIDE * min(height, width)
    return detector_box_of_square(CENTRAL_MIDDLE[0] * width - side / 2, CENTRAL_MIDDLE[1] * height - side / 2, side)


def boxes_of(source: str, names: list[str]) -> Callable[[str, tuple[int, int]], NDArray[np.float32]]:
    """Find the boxes of photographs as AFLW2000Config.boxes says; raises UserError if one of `names` has none."""
    if source == "center":
        return central_box
    file = Path(source).expanduser()
    if not file.is_file():
        raise UserError(f"{file}: no such file; dataset.boxes is 'center', a CSV or the 2000x4 .npy of crop boxes")
    boxes = _roi_boxes(file, names) if file.suffix == ".npy" else read_boxes(file)
    missing = [name for name in names if name not in boxes]
    if missing:
        raise UserError(f"{file}: no box for '{missing[0]}' ({len(missing)} of {len(names)} photographs have none)")
    return GivenBoxes(boxes)


def _roi_boxes(file: Path, names: list[str]) -> dict[str, NDArray[np.float32]]:
    """Read 3DDFA's table of crop squares, one row per photograph in the order of names; they stem from the true landmarks.

    A row is the square that is cut out (pixel centres at whole numbers); it becomes the detector box whose crop it is.
    """
    try:
        rows = np.load(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not a readable .npy ({error})") from error
    if rows.shape != (ALL_IMAGES, 4):
        raise UserError(f"{file}: expected {ALL_IMAGES}x4 numbers (left, top, right, bottom), got {rows.shape}")
    if len(names) != ALL_IMAGES:
        raise UserError(f"{file}: its rows go by position in all {ALL_IMAGES} photographs, but the folder has {len(names)}")
    squares = zip(rows[:, 0] + 0.5, rows[:, 1] + 0.5, (rows[:, 2:] - rows[:, :2]).mean(1))
    return {name: detector_box_of_square(left, top, side) for name, (left, top, side) in zip(names, squares)}

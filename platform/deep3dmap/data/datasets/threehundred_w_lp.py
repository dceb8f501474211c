"""300W-LP: a training set of 122,450 photographs of faces, many rotated synthetically, with fitted morphable models."""

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
from deep3dmap.data.datasets.fitted_faces import (
    FaceModel,
    FaceSplit,
    SampleContents,
    find_photographs,
    load_face_model,
    model_files,
)
from deep3dmap.data.datasets.given_root import given_root
from deep3dmap.data.formats.threehundred_w_lp import read_face
from deep3dmap.geometry.face_crop import INFERENCE_FACTOR, detector_box_of_square

EVERY_NTH = 50


@dataclass
class ThreeHundredWLPConfig:
    """Location of the photographs and reading options."""

    root: str = option("", "folder with the subfolders AFW, HELEN, IBUG, LFPW and so on, or with the photographs themselves")
    subfolders: list[str] = option([], "subfolders to read; empty = all that contain photographs with fits")
    model: str = option("", "morphable model (.npz, or its licensed files) used for the fits; none = no position maps")
    crop_size: int = option(256, "side of the training crops in pixels", low=16, high=1024)
    atlas: str = option("", "selects the face vertices of a licensed model: PRNet's uv-data folder or an atlas (.npz)")
    atlas_size: int = option(256, "side of the position maps in texels", low=16, high=1024)
    one_based: bool = option(True, "fits use 1-based pixels, as in MATLAB; false: 0-based, as in face3d's example")
    seed: int = option(0, "seed of the jitter of the training crops", low=0)
    train_with_image: bool = option(False, "include the evaluation keys in training samples")


class ThreeHundredWLP:
    """300W-LP. Every 50th photograph is for validation; boxes come from the true landmarks, so this is not a test set."""

    card = DatasetCard(
        title="300W-LP: faces in large poses with fitted morphable models",
        provides=(
            *("crop", "position_map", "crop_from_image"),
            *("image", "box", "landmarks_68", "head_pose", "dense_points", "dense_uv", "identity", "expression"),
        ),
        splits=("train", "val"),
        frame="image: x right, y down, z towards the camera",
        unit="pixel",
        licence="non-commercial research",
        source="Zhu et al., Face Alignment Across Large Poses: A 3D Solution, CVPR 2016",
        needs_root=True,
    )
    config_type = ThreeHundredWLPConfig

    def __init__(self, config: ThreeHundredWLPConfig, cache: Path) -> None:
        self._config, self._cache = config, cache

    @property
    def root(self) -> Path:
        """Dataset folder. Raises UserError if it is not set or does not exist."""
        return given_root(self._config.root, "the folder of 300W-LP")

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Check that there are photographs; nothing is written."""
        if not self._files:
            raise UserError(f"{self.root}: no photograph with a fit in it")

    @property
    def version(self) -> str:
        """Hash of the photographs, the fits, the model and the reading options."""
        files = [file.with_suffix(suffix) for _, file in self._files for suffix in (".jpg", ".mat")]
        extra = [hash_files(file.parent, [file], self._cache) for file in model_files(self._config.model, self._config.atlas)]
        options = {name: value for name, value in asdict(self._config).items() if name not in ("root", "model", "atlas")}
        return hash_data([hash_files(self.root, files, self._cache), extra, options])

    def split(self, name: str) -> Split:
        """Return a split. Training samples contain crop, crop_from_image and, with a model, position_map."""
        if name not in self.card.splits:
            raise unknown("split of threehundred_w_lp", name, self.card.splits)
        chosen = [pair for index, pair in enumerate(self._files) if (index % EVERY_NTH == EVERY_NTH - 1) == (name == "val")]
        training = name == "train"
        contents = SampleContents(
            evaluation=not training or self._config.train_with_image,
            training=training,
            crop_size=self._config.crop_size,
            seed=self._config.seed,
        )
        return FaceSplit(chosen, contents, self._model, LandmarkBoxes(dict(chosen)))

    @cached_property
    def _files(self) -> list[tuple[str, Path]]:
        found = []
        for folder in self._folders():
            prefix = "" if folder == self.root else f"{folder.name}_"
            found += [(prefix + file.stem, file) for file in find_photographs(folder)]
        return found

    def _folders(self) -> list[Path]:
        if self._config.subfolders:
            return [self.root / name for name in self._config.subfolders]
        if any(self.root.glob("*.mat")):
            return [self.root]
        folders = sorted(f for f in self.root.iterdir() if f.is_dir() and f.name != "landmarks" and any(f.glob("*.mat")))
        if not folders:
            raise UserError(f"{self.root}: no .jpg and .mat in it or in its subfolders; this is not a folder of 300W-LP")
        return folders

    @cached_property
    def _model(self) -> FaceModel | None:
        c = self._config
        return load_face_model(c.model, c.atlas, c.atlas_size, c.one_based)


@dataclass(frozen=True)
class LandmarkBoxes:
    """Detector boxes derived from the photographs' own landmarks."""

    files: dict[str, Path]

    def __call__(self, name: str, size: tuple[int, int]) -> NDArray[np.float32]:
        """Return the box of a photograph."""
        points = read_face(self.files[name].with_suffix(".mat")).landmarks[:, :2]
        low, high = points.min(0), points.max(0)
        side = INFERENCE_FACTOR * float((high - low).mean())
        left, top = (low + high - side) / 2
        return detector_box_of_square(float(left), float(top), side)

"""Samples of photographs with a fitted morphable model, shared by the face datasets."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.dataset import Sample
from deep3dmap.core.errors import UserError
from deep3dmap.data.face_atlas import GRID_HEAD, face_atlas
from deep3dmap.data.formats.images import read_image
from deep3dmap.data.formats.morphable_models import read_morphable_model
from deep3dmap.data.formats.threehundred_w_lp import FittedFace, read_face
from deep3dmap.data.generation import item_seed
from deep3dmap.geometry import face_crop
from deep3dmap.geometry.morphable_model import MorphableModel
from deep3dmap.render.position_map import PositionMapper

ATLAS_SIZE = 256  # side in texels of the atlas that marks a model's face region


@dataclass(frozen=True)
class FaceModel:
    """A morphable model that converts fits into dense ground truth.

    atlas_size: side of the maps in texels. one_based: whether fits use 1-based pixels, see `HeadPose.image`.
    """

    model: MorphableModel
    atlas_size: int
    one_based: bool = True

    @cached_property
    def _mapper(self) -> PositionMapper:
        return PositionMapper(self.model.faces, self.model.uv, self.atlas_size, self.model.faces_uv)

    @cached_property
    def _dense_uv(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        # One atlas position per face vertex; without regions, all vertices belong to the face.
        vertex = self.model.vertex_of_uv
        face = self.model.regions.get("face", np.ones(len(self.model.mean), bool))
        first = np.unique(vertex, return_index=True)[1]
        chosen = first[face[vertex[first]]]
        return vertex[chosen], self.model.uv[chosen]

    def vertices(self, face: FittedFace, height: int, file: Path) -> NDArray[np.float64]:
        """Return the (V, 3) vertices of a fit in image pixels; raises UserError if the fit belongs to another model."""
        try:
            shape = self.model.shape_of_parameters(face.shape, face.expression)
        except ValueError as error:
            raise UserError(f"{file}: {error}; set dataset.model=FILE to the model used for the fits") from error
        return face.pose.image(shape, height, self.one_based)

    def dense(self, vertices: NDArray[np.float64]) -> Sample:
        """Return the keys dense_points and dense_uv."""
        chosen, uv = self._dense_uv
        return {"dense_points": vertices[chosen].astype(np.float32), "dense_uv": uv}

    def coefficients(self, face: FittedFace) -> Sample:
        """Return the keys identity and expression, in standard deviations of the model."""
        model = self.model
        pairs = (("identity", face.shape, model.identity_sigma), ("expression", face.expression, model.expression_sigma))
        return {name: (values / sigma[: len(values)]).astype(np.float32) for name, values, sigma in pairs}

    def position_map(self, vertices: NDArray[np.float64], crop_from_image: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the position map of the vertices in crop pixels, with the smallest z of the mesh shifted to zero."""
        crop = face_crop.positions_to_crop(vertices.T, crop_from_image).T
        return self._mapper(crop - np.array([0, 0, crop[:, 2].min()], np.float32))


@dataclass(frozen=True)
class SampleContents:
    """Contents of a sample: the evaluation keys, the training keys, or both. crop_size in pixels.

    keep: number of samples cached in memory, since decoding and map rendering take longer than a step of a small network.
    """

    evaluation: bool
    training: bool
    crop_size: int
    seed: int
    keep: int = 0


class FaceSplit:
    """Photographs as samples. `box_of` returns the face box for a name and an image size (height, width)."""

    def __init__(
        self,
        files: list[tuple[str, Path]],
        contents: SampleContents,
        model: FaceModel | None,
        box_of: Callable[[str, tuple[int, int]], NDArray[np.float32]],
    ) -> None:
        self._files, self._contents, self._model, self._box_of = files, contents, model, box_of
        self._kept: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def name(self, index: int) -> str:
        """Return the name of a photograph, usable as a folder name."""
        return self._files[index][0]

    def __getitem__(self, index: int) -> Sample:
        """Read photograph `index` and its fit."""
        if index in self._kept:
            return dict(self._kept[index])
        sample = self._read(index)
        if len(self._kept) < self._contents.keep:
            self._kept[index] = sample
        return dict(sample)

    def _read(self, index: int) -> Sample:
        name, file = self._files[index]
        face, image = read_face(file.with_suffix(".mat")), read_image(file)
        vertices = None if self._model is None else self._model.vertices(face, image.shape[1], file.with_suffix(".mat"))
        sample: Sample = {}
        if self._contents.evaluation:
            sample |= self._evaluation(name, image, face, vertices)
        if self._contents.training:
            sample |= self._training(name, image, face, vertices)
        return sample

    def _evaluation(
        self, name: str, image: NDArray[np.float32], face: FittedFace, vertices: NDArray[np.float64] | None
    ) -> Sample:
        sample = {
            "image": image,
            "box": self._box_of(name, (image.shape[1], image.shape[2])),
            "landmarks_68": self._landmarks(face, vertices),
            "head_pose": face.pose.angles.astype(np.float32),
        }
        if vertices is None or self._model is None:
            return sample
        return sample | self._model.dense(vertices) | self._model.coefficients(face)

    def _training(
        self, name: str, image: NDArray[np.float32], face: FittedFace, vertices: NDArray[np.float64] | None
    ) -> Sample:
        # The jitter of the training crop is fixed per sample and does not change between epochs.
        rng = np.random.default_rng(item_seed("crop", self._contents.seed, name))
        size = self._contents.crop_size
        similarity = face_crop.crop_from_landmarks(self._landmarks(face, vertices), size, face_crop.TRAINING_FACTOR, rng)
        sample = {"crop": face_crop.warp(image, similarity, size), "crop_from_image": similarity}
        if vertices is not None and self._model is not None:
            sample["position_map"] = self._model.position_map(vertices, similarity)
        return sample

    def _landmarks(self, face: FittedFace, vertices: NDArray[np.float64] | None) -> NDArray[np.float32]:
        if face.has_depth or vertices is None or self._model is None:
            return face.landmarks
        return self._model.model.landmarks(vertices).astype(np.float32)


def find_photographs(root: Path) -> list[Path]:
    """Return the .jpg files of a folder that have a matching .mat file, by name; raises UserError if there are none."""
    files = sorted(file for file in root.glob("*.jpg") if file.with_suffix(".mat").is_file())
    if not files:
        raise UserError(f"{root}: no .jpg with a matching .mat; this is not a folder of 300W-LP or AFLW2000-3D")
    return files


def load_model(name: str, atlas: str = "") -> MorphableModel | None:
    """Load the morphable model named in a config, in any supported format; an empty name returns None.

    atlas: name for `face_atlas`; selects the face vertices of a licensed model.
    """
    if not name:
        return None
    return read_morphable_model(Path(name).expanduser(), face_atlas(atlas, ATLAS_SIZE) if atlas else None)


def load_face_model(name: str, atlas: str, atlas_size: int, one_based: bool) -> FaceModel | None:
    """Return the model of `load_model` as a `FaceModel`; see there for atlas_size and one_based."""
    model = load_model(name, atlas)
    return None if model is None else FaceModel(model, atlas_size, one_based)


def model_files(name: str, atlas: str = "") -> list[Path]:
    """Return the files that `load_model` may read, for hashing."""
    places = [Path(one).expanduser() for one in (name, atlas) if one and one != GRID_HEAD]
    files = [sorted(p for p in place.iterdir() if p.is_file()) if place.is_dir() else [place] for place in places]
    return [file for group in files for file in group]

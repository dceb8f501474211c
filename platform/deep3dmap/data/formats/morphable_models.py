"""Readers of morphable face models in the formats of their licensors and common tools.

These files may not be redistributed and are never downloaded; users who have them set dataset.model=PATH.
"""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import check_finite, reading
from deep3dmap.data.formats.basel_face_model import mirror_of, outward_faces, read_basel_face_model, read_licensed
from deep3dmap.data.formats.foreign_file import read_hdf5
from deep3dmap.geometry.morphable_model import MorphableModel
from deep3dmap.geometry.uv_atlas import UVAtlas

BASEL, BASEL_UV = "BFM.mat", "BFM_UV.mat"
THREE_DDFA = ("Model_Shape.mat", "Model_Expression.mat")
LANDMARKS = "landmarks_68.txt"
CELLS = "shape/representer/cells"
GREY = 0.7
AGREEMENT = "non-commercial, by agreement with the University of Basel"


def read_morphable_model(place: Path, atlas: UVAtlas | None = None) -> MorphableModel:
    """Read a model in any supported format.

    place: an .npz of `MorphableModel.save`; a folder of face3d with BFM.mat and BFM_UV.mat, or its BFM.mat; a folder of 3DDFA
    with Model_Shape.mat, Model_Expression.mat and BFM_UV.mat; or an .h5 of BFM 2017 or 2019 next to a landmarks_68.txt.
    atlas: defines the face region, as for `read_basel_face_model`. Raises UserError naming the file and the invalid field.
    """
    if place.suffix == ".npz":
        return MorphableModel.load(place)
    if place.suffix == ".h5":
        return read_basel_2017(place)
    folder = place if place.is_dir() else place.parent
    if (folder / THREE_DDFA[0]).is_file() and not (folder / BASEL).is_file():
        return read_3ddfa(folder)
    if place.is_dir() or place.suffix == ".mat":
        file = folder / BASEL if place.is_dir() else place
        return read_basel_face_model(file, folder / BASEL_UV, atlas)
    raise UserError(f"{place}: no morphable model; pass an .npz, a folder of face3d or 3DDFA, BFM.mat or an .h5 of BFM 2017")


def read_3ddfa(folder: Path) -> MorphableModel:
    """Read 3DDFA's Model_Shape.mat (mu_shape, w, sigma, tri, keypoints), Model_Expression.mat (mu_exp, w_exp) and BFM_UV.mat.

    sigma_exp is read from sigma_exp.mat if present, else set to 1. There are no colours, so the albedo is grey.
    """
    file, expression_file = folder / THREE_DDFA[0], folder / THREE_DDFA[1]
    shape, expression = read_licensed(file), read_licensed(expression_file)
    get, get_expression = _getter(shape, file), _getter(expression, expression_file)
    uv_file = folder / BASEL_UV
    uv = _getter(read_licensed(uv_file), uv_file)("UV")
    with reading(file, "model of 3DDFA"):
        mean = _points(get("mu_shape") + get_expression("mu_exp"))
        basis = _basis(get_expression("w_exp"))
        sigma_file = folder / "sigma_exp.mat"
        sigma = np.ones(basis.shape[2])
        if sigma_file.is_file():
            sigma = _getter(read_licensed(sigma_file), sigma_file)("sigma_exp").ravel()
        return _model(
            file,
            mean,
            get("tri").T.astype(np.int64) - 1,
            uv.clip(0, 1),
            (_basis(get("w")), get("sigma").ravel(), basis, sigma),
            get("keypoints").ravel().astype(np.int64) - 1,
            about={"name": "Basel Face Model 2009 (3DDFA)", "unit": "micrometre", "source": "Zhu et al., CVPR 2016"},
        )


def read_basel_2017(file: Path) -> MorphableModel:
    """Read BFM 2017 or 2019 (`model2017-1_face12_nomouth.h5` and similar); needs h5py.

    The file does not define the 68 landmarks: landmarks_68.txt next to it must list their 0-based vertex ids. The model has no
    atlas, so UV coordinates come from a cylinder about the vertical axis.
    """
    if find_spec("h5py") is None:
        raise UserError(f"{file}: reading BFM 2017 needs the package h5py")
    if not file.is_file():
        raise UserError(f"{file}: not found; the model is licensed, see faces.dmi.unibas.ch")
    names = [name for part in ("shape", "expression", "color") for name in _component_fields(part)]
    arrays = read_hdf5(file, (*names, CELLS))
    with reading(file, ".h5 of BFM 2017 or 2019"):
        mean = _points(arrays["shape/model/mean"] + arrays["expression/model/mean"])
        bases = [part for kind in ("shape", "expression") for part in _read_components(arrays, kind)]
        cells = arrays[CELLS]
        faces = (cells.T if cells.shape[0] == 3 else cells).astype(np.int64)
        colors = (_points(arrays["color/model/mean"]), *_read_components(arrays, "color"))
        landmarks = _landmark_ids(file.parent / LANDMARKS)
        about = {"name": "Basel Face Model 2017", "unit": "millimetre", "source": "Gerig et al., FG 2018"}
        return _model(file, mean, faces, cylindrical_uv(mean), tuple(bases), landmarks, colors, about)


def cylindrical_uv(mean: NDArray[Any]) -> NDArray[np.float64]:
    """Return (V, 2) UV coordinates in [0, 1] of (V, 3) vertices: angle about a central vertical axis, and height (v up)."""
    x, y, z = np.asarray(mean, np.float64).T
    axis = z.min()
    angle = np.arctan2(x - (x.min() + x.max()) / 2, z - axis + 1e-9)
    uv = np.stack([angle, y], 1)
    return (uv - uv.min(0)) / (uv.max(0) - uv.min(0))


def _model(
    file: Path,
    mean: NDArray[np.float32],
    faces: NDArray[np.int64],
    uv: NDArray[Any],
    bases: tuple[Any, ...],
    landmarks: NDArray[np.int64],
    colors: tuple[Any, ...] | None = None,
    about: Mapping[str, Any] | None = None,
) -> MorphableModel:
    identity, identity_sigma, expression, expression_sigma = bases
    no_colors = (np.full((len(mean), 3), GREY), np.zeros((len(mean), 3, 0)), np.zeros(0))
    albedo, albedo_basis, albedo_sigma = no_colors if colors is None else colors
    if len(uv) != len(mean):
        raise UserError(f"{file}: {len(mean)} vertices, but the atlas has {len(uv)}; take both from one model")
    with reading(file, "morphable model"):
        check_finite(file, {"the mean shape": mean})
        faces = outward_faces(mean, faces)
        return MorphableModel(
            mean=mean, faces=faces, uv=uv, faces_uv=faces,
            identity_basis=identity, identity_sigma=identity_sigma,
            expression_basis=expression, expression_sigma=expression_sigma,
            albedo_mean=albedo, albedo_basis=albedo_basis, albedo_sigma=albedo_sigma,
            landmark_vertices=np.repeat(landmarks[:, None], 3, 1),
            landmark_weights=np.tile([1.0, 0.0, 0.0], (len(landmarks), 1)),
            mirror=mirror_of(mean), licence=AGREEMENT, **(about or {}),
        )  # fmt: skip


def _getter(fields: dict[str, Any], file: Path) -> Callable[[str], NDArray[Any]]:
    def get(name: str) -> NDArray[Any]:
        if name not in fields:
            raise UserError(f"{file}: no field '{name}'")
        return np.asarray(fields[name])

    return get


def _landmark_ids(file: Path) -> NDArray[np.int64]:
    if not file.is_file():
        raise UserError(f"{file}: not found; it must list the 0-based vertex ids of the 68 landmarks")
    with reading(file, "list of vertex ids"):
        ids = np.loadtxt(file, ndmin=1).ravel().astype(np.int64)
    if len(ids) != 68:
        raise UserError(f"{file}: expected 68 vertex ids, got {len(ids)}")
    return ids


def _component_fields(part: str) -> list[str]:
    return [f"{part}/model/{name}" for name in ("mean", "pcaBasis", "pcaVariance")]


def _read_components(arrays: dict[str, NDArray[Any]], part: str) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    variance = np.asarray(arrays[f"{part}/model/pcaVariance"], np.float64).ravel()
    return _basis(arrays[f"{part}/model/pcaBasis"]), np.sqrt(variance)


def _points(column: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(column, np.float32).reshape(-1, 3)


def _basis(columns: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(columns, np.float32).reshape(-1, 3, columns.shape[1])

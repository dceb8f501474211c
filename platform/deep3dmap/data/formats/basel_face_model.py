"""The Basel Face Model 2009 as 300W-LP uses it: face3d's `BFM.mat` with the atlas `BFM_UV.mat`, to a `MorphableModel`.

Both files need a licence of the University of Basel (faces.dmi.unibas.ch) and are made by the scripts of YadiraF/face3d.
The result can be saved and given to the face datasets as dataset.model=FILE.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import check_finite, reading
from deep3dmap.data.formats.foreign_file import read_matlab
from deep3dmap.geometry.morphable_model import MorphableModel
from deep3dmap.geometry.uv_atlas import UVAtlas

FIELDS = ("shapeMU", "shapePC", "shapeEV", "expMU", "expPC", "expEV", "texMU", "texPC", "texEV", "tri", "tri_mouth", "kpt_ind")


def read_basel_face_model(file: Path, uv_file: Path, atlas: UVAtlas | None = None) -> MorphableModel:
    """Read `BFM.mat` and `BFM_UV.mat`. Unit: micrometre; colours: the texture model's, 0..1.

    With `atlas` (PRNet's) the vertices of its face texels become the region `face`. Bases stay as stored, so that Shape_Para
    and Exp_Para of 300W-LP, which hold the standard deviations already, apply as they are.
    Raises UserError naming the file and the field that is missing or does not fit.
    """
    model = _struct(file)
    uv = read_licensed(uv_file).get("UV")
    if uv is None or np.ndim(uv) != 2 or np.shape(uv)[1] != 2:
        raise UserError(f"{uv_file}: no field 'UV' of n x 2 numbers; it is BFM_UV.mat of face3d")
    with reading(file, "BFM.mat of face3d"):
        mean = _points(model["shapeMU"] + model["expMU"])
        if len(uv) != len(mean):
            raise UserError(f"{uv_file}: {len(uv)} atlas vertices, but {file.name} has {len(mean)}; take both from one model")
        check_finite(file, model)
        faces = outward_faces(mean, np.concatenate([model["tri"].T, model["tri_mouth"].T]).astype(np.int64) - 1)
        landmarks = model["kpt_ind"].ravel().astype(np.int64) - 1
        return MorphableModel(
            mean=mean,
            faces=faces,
            uv=np.asarray(uv).clip(0, 1),
            faces_uv=faces,
            identity_basis=_basis(model["shapePC"]),
            identity_sigma=model["shapeEV"].ravel(),
            expression_basis=_basis(model["expPC"]),
            expression_sigma=model["expEV"].ravel(),
            albedo_mean=_points(model["texMU"]) / np.float32(255),
            albedo_basis=_basis(model["texPC"]) / np.float32(255),
            albedo_sigma=model["texEV"].ravel(),
            landmark_vertices=np.repeat(landmarks[:, None], 3, 1),
            landmark_weights=np.tile([1.0, 0.0, 0.0], (len(landmarks), 1)),
            mirror=mirror_of(mean),
            regions={} if atlas is None else {"face": _in_mask(uv, atlas)},
            name="Basel Face Model 2009",
            unit="micrometre",
            source="Paysan et al., A 3D Face Model for Pose and Illumination Invariant Face Recognition, AVSS 2009",
            licence="non-commercial, by agreement with the University of Basel",
        )


def _struct(file: Path) -> dict[str, NDArray[Any]]:
    stored = read_licensed(file).get("model")
    if not isinstance(stored, dict):
        raise UserError(f"{file}: no structure 'model'; it is BFM.mat as the scripts of face3d write it")
    missing = [name for name in FIELDS if not isinstance(stored.get(name), np.ndarray)]
    if missing:
        raise UserError(f"{file}: model has no field '{missing[0]}'; it is BFM.mat as the scripts of face3d write it")
    return {name: stored[name] for name in FIELDS}


def read_licensed(file: Path) -> dict[str, Any]:
    """Read the variables of a MATLAB 5 file of a licensed model; raises UserError if it is absent or damaged."""
    if not file.is_file():
        raise UserError(f"{file}: not found; the model is licensed, see faces.dmi.unibas.ch and the README of face3d")
    return read_matlab(file)


def _points(column: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(column, np.float32).reshape(-1, 3)


def _basis(columns: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(columns, np.float32).reshape(-1, 3, columns.shape[1])


def outward_faces(mean: NDArray[np.float32], faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Wind (F, 3) faces counter-clockwise seen from outside, (V, 3) vertices looking towards +z."""
    # Releases differ in the winding; a face looks towards +z on the whole.
    first, second, third = mean[faces].astype(np.float64).transpose(1, 0, 2)
    towards_viewer = np.cross(second - first, third - first)[:, 2].sum()
    return faces if towards_viewer > 0 else faces[:, ::-1]


def mirror_of(mean: NDArray[np.float32]) -> NDArray[np.int64]:
    """(V,) id of the vertex nearest to each one's mirror image in x."""
    from scipy.spatial import cKDTree

    return cKDTree(mean).query(mean * (-1, 1, 1))[1].astype(np.int64)


def _in_mask(uv: NDArray[Any], atlas: UVAtlas) -> NDArray[np.bool_]:
    rows, columns = np.round(atlas.texels_of_uv(uv)).astype(np.int64).clip(0, atlas.size - 1).T
    return atlas.face_mask[rows, columns]

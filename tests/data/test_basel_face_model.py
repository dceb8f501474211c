"""Reading Basel Face Model files, using the procedural head as stand-in data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.basel_face_model import read_basel_face_model
from deep3dmap.data.scenes.head_model import head_atlas, head_model

HEAD = head_model(33)
MICRO = 1000.0


def fields() -> dict[str, Any]:
    landmark = HEAD.landmark_vertices[np.arange(68), HEAD.landmark_weights.argmax(1)]
    return {
        "shapeMU": (HEAD.mean * MICRO * 0.75).reshape(-1, 1),
        "expMU": (HEAD.mean * MICRO * 0.25).reshape(-1, 1),
        "shapePC": (HEAD.identity_basis * MICRO).reshape(-1, 40),
        "shapeEV": HEAD.identity_sigma[:, None],
        "expPC": (HEAD.expression_basis * MICRO).reshape(-1, 20),
        "expEV": HEAD.expression_sigma[:, None],
        "texMU": (HEAD.albedo_mean * 255).reshape(-1, 1),
        "texPC": (HEAD.albedo_basis * 255).reshape(-1, 20),
        "texEV": HEAD.albedo_sigma[:, None],
        "tri": HEAD.faces[:-10, ::-1].T + 1,
        "tri_mouth": HEAD.faces[-10:, ::-1].T + 1,
        "kpt_ind": landmark[None] + 1,
    }


def write(folder: Path, model: dict[str, Any]) -> tuple[Path, Path]:
    scipy.io.savemat(folder / "BFM.mat", {"model": model})
    scipy.io.savemat(folder / "BFM_UV.mat", {"UV": HEAD.uv})
    return folder / "BFM.mat", folder / "BFM_UV.mat"


def test_model_is_read_with_its_own_scaling(tmp_path: Path) -> None:
    model = read_basel_face_model(*write(tmp_path, fields()), head_atlas(128))
    assert model.unit == "micrometre"
    identity, expression = np.random.default_rng(0).normal(size=40), np.random.default_rng(1).uniform(0, 1, 20)
    expected = HEAD.shape(identity, expression) * MICRO
    np.testing.assert_allclose(model.shape(identity, expression), expected, atol=0.5)
    np.testing.assert_array_equal(model.faces, HEAD.faces)
    np.testing.assert_allclose(model.albedo(), HEAD.albedo(), atol=1e-5)
    np.testing.assert_allclose(model.mean[model.mirror], model.mean * (-1, 1, 1), atol=0.1)
    assert 0.2 < model.regions["face"].mean() < 0.9
    model.save(tmp_path / "model.npz")


def test_missing_files_and_fields_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"BFM\.mat: not found"):
        read_basel_face_model(tmp_path / "BFM.mat", tmp_path / "BFM_UV.mat")
    part = fields()
    del part["expPC"]
    with pytest.raises(UserError, match=r"BFM\.mat.*'expPC'"):
        read_basel_face_model(*write(tmp_path, part))
    file, uv_file = write(tmp_path, fields())
    scipy.io.savemat(uv_file, {"UV": HEAD.uv[:-1]})
    with pytest.raises(UserError, match=r"BFM_UV\.mat"):
        read_basel_face_model(file, uv_file)
    file.write_bytes(b"no MATLAB file")
    with pytest.raises(UserError, match=r"BFM\.mat"):
        read_basel_face_model(file, uv_file)

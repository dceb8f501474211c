"""Licensed models in each of their formats, using the procedural head as stand-in data, and their position maps."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from deep3dmap.core.errors import UserError
from deep3dmap.data.datasets.fitted_faces import FaceModel, load_model, model_files
from deep3dmap.data.formats.morphable_models import cylindrical_uv, read_morphable_model
from deep3dmap.data.formats.threehundred_w_lp import FittedFace
from deep3dmap.data.scenes.head_model import head_model
from deep3dmap.geometry.face_pose import HeadPose

HEAD = head_model(33)
LANDMARKS = HEAD.landmark_vertices[np.arange(68), HEAD.landmark_weights.argmax(1)]
IDENTITY, EXPRESSION = np.random.default_rng(0).normal(size=40), np.random.default_rng(1).uniform(0, 1, 20)


def face3d(folder: Path, mouth: int = 10) -> Path:
    """Write BFM.mat and BFM_UV.mat; the last `mouth` triangles form the mouth."""
    model = {
        "shapeMU": (HEAD.mean * 750.0).reshape(-1, 1), "expMU": (HEAD.mean * 250.0).reshape(-1, 1),
        "shapePC": (HEAD.identity_basis * 1000.0).reshape(-1, 40), "shapeEV": HEAD.identity_sigma[:, None],
        "expPC": (HEAD.expression_basis * 1000.0).reshape(-1, 20), "expEV": HEAD.expression_sigma[:, None],
        "texMU": (HEAD.albedo_mean * 255).reshape(-1, 1), "texPC": (HEAD.albedo_basis * 255).reshape(-1, 20),
        "texEV": HEAD.albedo_sigma[:, None], "kpt_ind": LANDMARKS[None] + 1,
        "tri": HEAD.faces[:-mouth, ::-1].T + 1, "tri_mouth": HEAD.faces[-mouth:, ::-1].T + 1,
    }  # fmt: skip
    scipy.io.savemat(folder / "BFM.mat", {"model": model})
    scipy.io.savemat(folder / "BFM_UV.mat", {"UV": HEAD.uv})
    return folder


def three_ddfa(folder: Path) -> Path:
    scipy.io.savemat(folder / "Model_Shape.mat", {
        "mu_shape": (HEAD.mean * 1000.0).reshape(-1, 1), "w": (HEAD.identity_basis * 1000.0).reshape(-1, 40),
        "sigma": HEAD.identity_sigma[:, None], "tri": HEAD.faces.T + 1, "keypoints": LANDMARKS[None] + 1,
    })  # fmt: skip
    expression = {"mu_exp": np.zeros((HEAD.mean.size, 1)), "w_exp": (HEAD.expression_basis * 1000.0).reshape(-1, 20)}
    scipy.io.savemat(folder / "Model_Expression.mat", expression)
    scipy.io.savemat(folder / "sigma_exp.mat", {"sigma_exp": np.full((20, 1), 0.5)})
    scipy.io.savemat(folder / "BFM_UV.mat", {"UV": HEAD.uv})
    return folder


def basel_2017(folder: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "model2017-1_face12_nomouth.h5", "w") as file:
        for part, mean, basis, sigma in (
            ("shape", HEAD.mean, HEAD.identity_basis, HEAD.identity_sigma),
            ("expression", HEAD.mean * 0, HEAD.expression_basis, HEAD.expression_sigma),
            ("color", HEAD.albedo_mean, HEAD.albedo_basis, HEAD.albedo_sigma),
        ):
            file[f"{part}/model/mean"] = mean.ravel()
            file[f"{part}/model/pcaBasis"] = basis.reshape(-1, basis.shape[2])
            file[f"{part}/model/pcaVariance"] = sigma**2
        file["shape/representer/cells"] = HEAD.faces.T
    np.savetxt(folder / "landmarks_68.txt", LANDMARKS, fmt="%d")
    return folder / "model2017-1_face12_nomouth.h5"


@pytest.mark.parametrize(("write", "unit"), [(face3d, 1000.0), (three_ddfa, 1000.0), (basel_2017, 1.0)])
def test_every_format_gives_the_same_head(tmp_path: Path, write: Any, unit: float) -> None:
    place = write(tmp_path)
    model = read_morphable_model(place)
    expression = EXPRESSION * (2 if write is three_ddfa else 1)  # its sigma is 0.5
    np.testing.assert_allclose(model.shape(IDENTITY, expression) / unit, HEAD.shape(IDENTITY, EXPRESSION), atol=2e-3)
    np.testing.assert_array_equal(model.faces, HEAD.faces)
    np.testing.assert_array_equal(model.landmark_vertices[:, 0], LANDMARKS)
    assert model.uv.shape == (len(HEAD.mean), 2)
    assert load_model(str(place)) is not None
    assert all(file.is_file() for file in model_files(str(place)))


def fit() -> FittedFace:
    pose = HeadPose(np.array([0.1, 0.4, -0.2]), np.array([60.0, 70.0, 0.0]), 4e-4)
    shape = IDENTITY * HEAD.identity_sigma
    return FittedFace(pose, shape, EXPRESSION, np.zeros((68, 3), np.float32), False, np.zeros(0), np.zeros(4, np.int16))


def test_mouth_triangles_close_the_hole_in_the_position_map(tmp_path: Path) -> None:
    model = read_morphable_model(face3d(tmp_path, mouth=64))
    maps = []
    for faces in (model.faces, model.faces[:-64]):
        faced = FaceModel(replace(model, faces=faces, faces_uv=faces), 48)
        maps.append(faced.position_map(faced.vertices(fit(), 128, tmp_path), np.eye(3)))
    hole = (maps[1][0] == 0) & (maps[0][0] != 0)
    assert 20 < hole.sum() < 200
    np.testing.assert_allclose(maps[0][:, ~hole], maps[1][:, ~hole], atol=0.2)


def test_counting_from_one_moves_the_map_by_one_pixel(tmp_path: Path) -> None:
    model = read_morphable_model(face3d(tmp_path))
    from_one, as_face3d = (FaceModel(model, 48, one_based) for one_based in (True, False))
    moved = as_face3d.vertices(fit(), 128, tmp_path) - from_one.vertices(fit(), 128, tmp_path)
    np.testing.assert_allclose(moved, np.broadcast_to([1.0, -1.0, 0.0], moved.shape), atol=1e-9)


def test_an_atlas_marks_the_face(tmp_path: Path) -> None:
    model = load_model(str(face3d(tmp_path)), "grid_head")
    assert model is not None
    assert 0.2 < model.regions["face"].mean() < 0.9


def test_cylindrical_coordinates_unroll_the_head() -> None:
    uv = cylindrical_uv(HEAD.mean)
    assert (uv.min(0), uv.max(0)) == (pytest.approx([0, 0]), pytest.approx([1, 1]))
    nose = uv[LANDMARKS[30]]
    assert nose[0] == pytest.approx(0.5, abs=0.02)
    assert uv[LANDMARKS[16], 0] > uv[LANDMARKS[0], 0]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "ddfa").mkdir()
    place = three_ddfa(tmp_path / "ddfa")
    fields = {name: value for name, value in scipy.io.loadmat(place / "Model_Shape.mat").items() if name[0] != "_"}
    del fields["keypoints"]
    scipy.io.savemat(place / "Model_Shape.mat", fields)
    with pytest.raises(UserError, match=r"Model_Shape\.mat: no field 'keypoints'"):
        read_morphable_model(place)
    (place / "Model_Expression.mat").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"Model_Expression\.mat: not a readable MATLAB file"):
        read_morphable_model(place)
    with pytest.raises(UserError, match=r"face\.obj: no morphable model"):
        read_morphable_model(tmp_path / "face.obj")
    with pytest.raises(UserError, match=r"BFM\.mat: not found"):
        read_morphable_model(tmp_path)
    with pytest.raises(UserError, match=r"(needs the package h5py|not found)"):
        read_morphable_model(tmp_path / "absent.h5")


def test_a_damaged_h5_is_named(tmp_path: Path) -> None:
    file = basel_2017(tmp_path)
    (tmp_path / "landmarks_68.txt").write_text("1 2 3")
    with pytest.raises(UserError, match=r"landmarks_68\.txt: expected 68"):
        read_morphable_model(file)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match="not a readable HDF5 file"):
        read_morphable_model(file)

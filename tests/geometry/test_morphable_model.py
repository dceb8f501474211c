"""The morphable model: shapes, checks and files, on a tiny model."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from deep3dmap.core.errors import UserError
from deep3dmap.geometry.morphable_model import MorphableModel

RNG = np.random.default_rng(0)


@pytest.fixture
def model() -> MorphableModel:
    mean = np.array([[-1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    faces = np.array([[0, 1, 3], [1, 2, 3], [2, 0, 3]])
    return MorphableModel(
        mean=mean,
        faces=faces,
        uv=RNG.uniform(0, 1, (4, 2)),
        faces_uv=faces,
        identity_basis=RNG.normal(size=(4, 3, 5)),
        identity_sigma=np.arange(1, 6),
        expression_basis=RNG.normal(size=(4, 3, 2)),
        expression_sigma=np.ones(2),
        albedo_mean=np.full((4, 3), 0.5),
        albedo_basis=RNG.normal(size=(4, 3, 3)),
        albedo_sigma=np.ones(3),
        landmark_vertices=np.tile([[0, 1, 2]], (68, 1)),
        landmark_weights=np.tile([[0.5, 0.25, 0.25]], (68, 1)),
        mirror=np.array([1, 0, 2, 3]),
        regions={"face": np.array([True, True, False, True])},
        name="tiny",
        source="a test",
        licence="none",
    )


def test_coefficients_count_in_sigma_and_may_be_few(model: MorphableModel) -> None:
    np.testing.assert_allclose(model.shape(), model.mean)
    expected = model.mean + 2.0 * model.identity_basis[..., 1] * model.identity_sigma[1]
    np.testing.assert_allclose(model.shape(np.array([0, 2.0])), expected, atol=1e-5)
    same = model.shape_of_parameters(np.array([0, 2.0 * model.identity_sigma[1]]))
    np.testing.assert_allclose(same, expected, atol=1e-5)


def test_too_many_coefficients_are_refused(model: MorphableModel) -> None:
    with pytest.raises(ValueError, match="6 identity coefficients"):
        model.shape(np.zeros(6))


def test_albedo_is_clamped(model: MorphableModel) -> None:
    albedo = model.albedo(np.full(3, 50.0))
    assert albedo.min() >= 0
    assert albedo.max() <= 1


def test_landmarks_are_weighted(model: MorphableModel) -> None:
    points = model.mean.astype(float)
    np.testing.assert_allclose(model.landmarks(points)[0], points[:3].T @ [0.5, 0.25, 0.25])


def test_saved_and_loaded_models_are_equal(model: MorphableModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model.npz")
    again = MorphableModel.load(tmp_path / "model.npz")
    for one in fields(model):
        if one.name != "regions":
            np.testing.assert_array_equal(getattr(again, one.name), getattr(model, one.name))
    np.testing.assert_array_equal(again.regions["face"], model.regions["face"])


def test_bad_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "part.npz", mean=np.zeros((4, 3)))
    with pytest.raises(UserError, match=r"text\.npz"):
        MorphableModel.load(tmp_path / "text.npz")
    with pytest.raises(UserError, match=r"part\.npz.*'faces'"):
        MorphableModel.load(tmp_path / "part.npz")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"faces": np.array([[1, 2, 4], [2, 3, 4], [3, 1, 4]])}, "1-based"),
        ({"faces": np.array([[0, 3, 1], [1, 3, 2], [2, 3, 0]])}, "wrong winding"),
        ({"mean": np.full((4, 3), np.nan)}, "NaN"),
        ({"unit": "inch"}, "unit"),
        ({"uv": np.full((4, 2), 1.5)}, "uv"),
        ({"mirror": np.array([0, 1])}, "mirror"),
        ({"regions": {"face": np.ones(3, bool)}}, "region 'face'"),
    ],
)
def test_what_does_not_fit_is_refused(model: MorphableModel, change: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(model, **change)

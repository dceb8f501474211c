"""The object suite: requested views, scores, missing parts, and pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from deep3dmap.bench.suite import load_suite
from deep3dmap.benchmarks.object.protocol import ObjectProtocol
from deep3dmap.core import Mesh, Reconstruction, UserError, Views
from deep3dmap.core.registry import methods
from deep3dmap.geometry.cameras import look_at
from deep3dmap.geometry.icosphere import icosphere
from deep3dmap.nn.lpips import LPIPS

PROTOCOL = ObjectProtocol()
NAMES = {metric.name for metric in PROTOCOL.card.metrics} - {"lpips_vgg"}
SPHERE, FACES = icosphere(3)


def truth_of() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    masks = np.zeros((2, 20, 24), np.float32)
    masks[:, 5:15, 5:15] = 1
    pose = look_at((0.0, -3.0, 0.5), (0.0, 0, 0)).numpy()
    return {
        "test_images": rng.uniform(0.2, 0.8, (2, 3, 20, 24)).astype(np.float32),
        "test_masks": masks,
        "test_intrinsics": np.tile(np.diag([20.0, 20, 1]), (2, 1, 1)),
        "test_world_from_camera": np.stack([pose, pose]),
        "mesh": Mesh(SPHERE, FACES),
    }


def scored(views: Views | None, mesh: Mesh | None, truth: dict[str, Any]) -> dict[str, float]:
    return dict(PROTOCOL.begin().add("scene", Reconstruction("world", "metre", mesh=mesh), views, truth))


def test_the_truth_scores_best() -> None:
    truth = truth_of()
    scores = scored(Views(truth["test_images"]), truth["mesh"], truth)
    assert scores.keys() == NAMES
    best = {
        "psnr": 100,
        "psnr8": 100,
        "psnr_object": 100,
        "ssim11": 1,
        "mse": 0,
        "precision_1": 1,
        "recall_1": 1,
        "f_score_1": 1,
    }
    for name, value in best.items():
        assert scores[name] == pytest.approx(value, abs=1e-6), name
    assert scores["chamfer"] < 1e-3


def test_a_constant_error_on_the_object_alone_has_the_psnr_of_that_error() -> None:
    truth = truth_of()
    images = truth["test_images"] + 0.1 * truth["test_masks"][:, None]
    scores = scored(Views(images), None, truth)
    assert scores["psnr_object"] == pytest.approx(20, abs=1e-3)
    assert scores["psnr"] == pytest.approx(20 - 10 * np.log10(100 / 480), abs=1e-3)
    assert not {"chamfer", "f_score_1"} & scores.keys()


def test_a_larger_sphere_is_farther_by_the_difference_of_radii() -> None:
    truth = truth_of()
    scores = scored(None, Mesh(1.1 * SPHERE, FACES), truth)
    diagonal = 2 * np.sqrt(3) * np.abs(SPHERE).max()
    for name in ("chamfer", "accuracy", "completeness"):
        assert scores[name] == pytest.approx(100 * 0.1 / diagonal, rel=0.03), name
    assert "psnr" not in scores


def test_nothing_is_never_better_than_something() -> None:
    scores = scored(None, Mesh(np.zeros((0, 3)), np.zeros((0, 3))), truth_of())
    assert scores["chamfer"] == scores["completeness"] == 100
    assert scores["f_score_1"] == 0


def test_bad_meshes_are_refused() -> None:
    broken = SPHERE.copy()
    broken[0] = np.nan
    with pytest.raises(UserError, match="NaN"):
        scored(None, Mesh(broken, FACES), truth_of())
    with pytest.raises(UserError, match="frame"):
        PROTOCOL.begin().add("scene", Reconstruction("image", "pixel", mesh=Mesh(SPHERE, FACES)), None, truth_of())


def test_the_cameras_of_the_held_out_views_are_asked_for() -> None:
    truth = truth_of()
    cameras = PROTOCOL.begin().queries(Reconstruction("world", "metre"), truth)
    assert [(one.width, one.height) for one in cameras] == [(24, 20)] * 2
    np.testing.assert_array_equal(cameras[1].world_from_camera, truth["test_world_from_camera"][1])
    assert not PROTOCOL.begin().queries(Reconstruction("world", "metre"), {"images": truth["test_images"]})


def test_lpips_is_a_column_only_where_its_weights_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEP3DMAP_ASSETS", str(tmp_path))
    truth = truth_of()
    assert "lpips_vgg" not in scored(Views(truth["test_images"]), None, truth)
    torch.manual_seed(0)
    names = {f"heads.{i}": f"lin{i}.model.1.weight" for i in range(5)}
    torch.save({names.get(key, key): value for key, value in LPIPS().state_dict().items()}, tmp_path / "lpips_vgg.pth")
    assert scored(Views(truth["test_images"]), None, truth)["lpips_vgg"] == pytest.approx(0, abs=1e-6)
    assert scored(Views(1 - truth["test_images"]), None, truth)["lpips_vgg"] > 0


@pytest.mark.parametrize("part", ["heads", "features"])
def test_lpips_with_a_part_of_its_weights_is_refused(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published files of the heads alone have almost the same names; a randomly initialised network would still score."""
    monkeypatch.setenv("DEEP3DMAP_ASSETS", str(tmp_path))
    names = {f"heads.{i}": f"lin{i}.model.1.weight" for i in range(5)}
    state = {names.get(key, key): value for key, value in LPIPS().state_dict().items() if key.startswith(part)}
    torch.save(state, tmp_path / "lpips_vgg.pth")
    with pytest.raises(UserError, match=r"lpips_vgg\.pth: not VGG-16 with LPIPS' heads.*Missing key"):
        PROTOCOL.begin()


def test_lpips_from_a_file_of_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEP3DMAP_ASSETS", str(tmp_path))
    for content in ([1, 2], {"alex.0": torch.zeros(1)}, {"lin0.model.1.weight": "text"}):
        torch.save(content, tmp_path / "lpips_vgg.pth")
        with pytest.raises(UserError, match=r"^[^\n]*lpips_vgg\.pth: not VGG-16 with LPIPS' heads[^\n]*$"):
            PROTOCOL.begin()


def test_pictures_are_made(tmp_path: Path) -> None:
    truth = truth_of()
    views = Views(truth["test_images"], np.ones((2, 20, 24), np.float32))
    files = PROTOCOL.view_pictures(views, truth, tmp_path)
    files += PROTOCOL.pictures(Reconstruction("world", "metre", mesh=Mesh(SPHERE, FACES)), truth, tmp_path)
    assert [file.name for file in files] == ["views.png", "turntable.png"]
    assert all(min(Image.open(file).size) > 300 for file in files)
    assert PROTOCOL.pictures(Reconstruction("world", "metre"), truth, tmp_path) == []


def test_its_methods_enter() -> None:
    suite = load_suite("object")
    assert {"nerf", "nearest_view", "mean_color"} <= set(suite.entrants())
    assert suite.tier("quick").variant_of(methods, "nerf") == "grid_quick"
    suite.check_entrant("visual_hull")


def test_an_object_out_of_the_picture_has_nothing_wrong_with_it() -> None:
    truth = truth_of()
    truth["test_masks"][1] = 0
    scores = scored(Views(truth["test_images"] + 0.1), None, truth)
    # 20 dB in the view that shows it, and the maximum in the other.
    assert scores["psnr_object"] == pytest.approx((20 + 100) / 2, abs=1e-3)


@pytest.mark.parametrize("faces", [np.zeros((0, 3), np.int64), np.array([[0, 0, 1], [2, 2, 2]])])
def test_a_surface_without_area_is_charged_the_whole_diagonal(faces: np.ndarray) -> None:
    scores = scored(None, Mesh(SPHERE, faces), truth_of())
    assert scores["chamfer"] == scores["accuracy"] == scores["completeness"] == 100
    assert scores["precision_1"] == scores["recall_1"] == scores["f_score_1"] == 0


def test_a_part_of_the_surface_is_precise_and_incomplete() -> None:
    """The upper half of the sphere: all of it is correct, and half of the truth is missing."""
    upper = FACES[SPHERE[FACES].mean(1)[:, 2] > 0]
    scores = scored(None, Mesh(SPHERE, upper), truth_of())
    assert scores["precision_1"] == 1
    assert scores["recall_1"] == pytest.approx(0.5, abs=0.04)
    assert scores["f_score_1"] == pytest.approx(2 / 3, abs=0.04)


def test_nothing_is_pictured_as_nothing(tmp_path: Path) -> None:
    nothing = Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    (file,) = PROTOCOL.pictures(Reconstruction("world", "metre", mesh=nothing), {}, tmp_path)
    pixels = np.asarray(Image.open(file))
    assert (pixels[100:300, 100:300] == 230).all()

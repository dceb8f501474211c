"""The body suite: scores, held-out views, refusals, and pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluating import scores_of
from PIL import Image

from deep3dmap.bench.suite import load_suite
from deep3dmap.benchmarks.body.protocol import BodyProtocol, SingleViewBodyProtocol
from deep3dmap.benchmarks.body.scan import scan_from_truth
from deep3dmap.core import Mesh, Reconstruction, UserError
from deep3dmap.core.registry import datasets, methods
from deep3dmap.geometry.cameras import look_at
from deep3dmap.geometry.icosphere import icosphere
from deep3dmap.metrics.silhouette import silhouette

PROTOCOL = BodyProtocol()
NAMES = {metric.name for metric in PROTOCOL.card.metrics}
SIDE, RADIUS = 48, 0.1
SPHERE, FACES = icosphere(3)


def truth_of(views: int = 4) -> dict[str, Any]:
    """A sphere of 10 cm radius at (0.2, 0, 0), seen from all around."""
    centre = np.array([0.2, 0, 0])
    mesh = Mesh(RADIUS * SPHERE + centre, FACES)
    angles = 2 * np.pi * np.arange(views) / views
    poses = np.stack([look_at(centre + np.array([np.sin(a), 0.1, np.cos(a)]), centre, (0, 1, 0)).numpy() for a in angles])
    intrinsics = np.array([[180.0, 0, SIDE / 2], [0, 180, SIDE / 2], [0, 0, 1]])
    masks = [silhouette(mesh.vertices, mesh.faces, intrinsics, pose, SIDE, SIDE).float().numpy() for pose in poses]
    return {
        "images": np.full((views, 3, SIDE, SIDE), 0.5, np.float32),
        "masks": np.stack(masks),
        "intrinsics": np.tile(intrinsics, (views, 1, 1)),
        "world_from_camera": poses,
        "mesh": mesh,
        "vertices": mesh.vertices,
    }


def of_mesh(vertices: np.ndarray, faces: np.ndarray = FACES) -> Reconstruction:
    return Reconstruction("world", "metre", mesh=Mesh(vertices, faces))


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    return truth_of()


def test_the_truth_scores_zero(truth: dict[str, Any]) -> None:
    scores = scores_of(PROTOCOL, of_mesh(truth["vertices"]), truth)
    assert scores.keys() == NAMES
    for metric in PROTOCOL.card.metrics:
        # Normals of points on an edge between two triangles may belong to either triangle.
        best, tolerance = float(metric.better == "up"), 0.1 if "normal" in metric.name else 1e-4
        assert scores[metric.name] == pytest.approx(best, abs=tolerance)


def test_a_larger_sphere_is_farther_by_the_difference_of_radii(truth: dict[str, Any]) -> None:
    scores = scores_of(PROTOCOL, of_mesh(1.2 * (truth["vertices"] - [0.2, 0, 0]) + [0.2, 0, 0]), truth)
    for name in ("chamfer", "scan_to_mesh_mean", "scan_to_mesh_median", "mesh_to_scan_mean", "vertex_error"):
        assert scores[name] == pytest.approx(20, rel=0.02), name
    assert scores["aligned_scan_to_mesh_mean"] == pytest.approx(20, rel=0.02)
    assert scores["completeness_10mm"] == scores["precision_10mm"] == scores["f_score_10mm"] == 0
    assert scores["silhouette_iou"] == pytest.approx(1 / 1.44, rel=0.05)
    assert scores["normal_error"] < 3


def test_alignment_forgives_a_motion_and_the_headline_does_not(truth: dict[str, Any]) -> None:
    scores = scores_of(PROTOCOL, of_mesh(truth["vertices"] + np.float32([0.03, 0, 0])), truth)
    assert scores["vertex_error"] == pytest.approx(30, rel=1e-3)
    assert scores["aligned_vertex_error"] < 0.01
    assert scores["scan_to_mesh_mean"] == pytest.approx(15, rel=0.05)
    assert scores["aligned_scan_to_mesh_mean"] < 0.7


def test_what_is_too_much_counts_in_the_headline_only_backwards(truth: dict[str, Any]) -> None:
    both = np.concatenate([truth["vertices"], truth["vertices"] + np.float32([0.5, 0, 0])])
    scores = scores_of(PROTOCOL, of_mesh(both, np.concatenate([FACES, FACES + len(SPHERE)])), truth)
    assert scores["scan_to_mesh_mean"] < 0.01
    assert scores["mesh_to_scan_mean"] > 150
    assert scores["chamfer"] == pytest.approx(scores["mesh_to_scan_mean"] / 2, rel=1e-3)
    assert "vertex_error" not in scores


@pytest.mark.parametrize("mesh", [(np.zeros((0, 3)), np.zeros((0, 3), int)), (np.zeros((3, 3)), np.array([[0, 1, 2]]))])
def test_nothing_is_charged_the_size_of_the_subject(truth: dict[str, Any], mesh: tuple[np.ndarray, np.ndarray]) -> None:
    scores = scores_of(PROTOCOL, of_mesh(*mesh), truth)
    size = 1000 * np.linalg.norm(np.ptp(truth["vertices"], 0))
    assert scores["chamfer"] == scores["scan_to_mesh_mean"] == pytest.approx(size)
    assert scores["f_score_10mm"] == scores["silhouette_iou"] == 0


def test_only_what_a_camera_sees_is_compared() -> None:
    truth = truth_of(views=4)
    # Without the views beside and behind it, only the side towards the first camera remains.
    one = dict(truth) | {key: truth[key][:1] for key in ("images", "masks", "intrinsics", "world_from_camera")}
    points = scan_from_truth(one).points.numpy() - [0.2, 0, 0]
    assert points[:, 2].min() > -0.02
    assert (scan_from_truth(truth).points.numpy()[:, 2]).min() < -0.09
    uncalibrated = {"images": truth["images"], "mesh": truth["mesh"]}
    assert len(scan_from_truth(uncalibrated).points) == 4000
    assert "silhouette_iou" not in scores_of(PROTOCOL, of_mesh(truth["vertices"]), uncalibrated)


def test_a_quarter_of_the_views_is_held_back() -> None:
    truth = truth_of(8)
    offered = PROTOCOL.offered(truth)
    kept = [0, 1, 3, 4, 6, 7]
    for key in ("images", "masks", "intrinsics", "world_from_camera"):
        np.testing.assert_array_equal(offered[key], truth[key][kept])
    assert offered["mesh"] is truth["mesh"]
    assert len(PROTOCOL.offered(truth_of(3))["images"]) == 3
    assert len(truth["images"]) == 8


def test_methods_made_for_rooms_enter_only_when_named() -> None:
    assert load_suite("body").entrants() == ["multiview_face", "visual_hull", "mean_subject"]
    assert load_suite("body_single_view").entrants() == ["multiview_face", "mean_subject"]
    load_suite("body").check_entrant("plane_sweep")


def test_one_view_is_another_suite() -> None:
    truth, single = truth_of(5), SingleViewBodyProtocol()
    np.testing.assert_array_equal(single.offered(truth)["masks"], truth["masks"][2:3])
    scores = scores_of(single, of_mesh(truth["vertices"]), truth)
    assert scores["silhouette_iou"] == scores["silhouette_iou_held_out"] == 1
    assert not single.card.admits(methods.load("visual_hull").card)
    assert single.card.admits(methods.load("mean_subject").card)
    with pytest.raises(UserError, match="needs 2 views"):
        load_suite("body_single_view").check_entrant("visual_hull")


def test_without_a_true_surface_the_outlines_are_scored(truth: dict[str, Any]) -> None:
    outlined = {key: value for key, value in truth.items() if key not in ("mesh", "vertices")}
    assert set(scores_of(PROTOCOL, of_mesh(truth["vertices"]), outlined)) == {"silhouette_iou", "silhouette_iou_held_out"}


def test_what_cannot_be_scored_is_refused(truth: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="scores a mesh"):
        scores_of(PROTOCOL, Reconstruction("world", "metre", points=truth["vertices"]), truth)
    with pytest.raises(UserError, match="frame 'world'"):
        scores_of(PROTOCOL, Reconstruction("image", "pixel", mesh=truth["mesh"]), truth)
    with pytest.raises(UserError, match="NaN"):
        scores_of(PROTOCOL, of_mesh(truth["vertices"] * np.nan), truth)


@pytest.mark.parametrize("name", ["body", "body_single_view"])
def test_tiers_name_variants_that_there_are(name: str) -> None:
    from deep3dmap.config.variants import variants

    suite = load_suite(name)
    for tier in suite.tiers.values():
        for dataset in suite.default_datasets:
            assert tier.variant_of(datasets, dataset) in variants(datasets, dataset)
            for method in suite.entrants():
                assert tier.variant_of(methods, method, dataset) in variants(methods, method)


def test_the_variant_of_a_method_follows_the_dataset() -> None:
    tier = load_suite("body").tier("smoke")
    assert tier.variant_of(methods, "multiview_face", "bodies") == "body_smoke"
    assert tier.variant_of(methods, "multiview_face", "multiview_heads") == "smoke"
    assert tier.variant_of(methods, "multiview_face", "rooms") == "smoke"
    assert tier.variant_of(methods, "visual_hull", "bodies") == "smoke"


def colors_of(file: Path) -> int:
    return len(np.unique(np.asarray(Image.open(file)).reshape(-1, 3), axis=0))


def test_pictures_of_everything(truth: dict[str, Any], tmp_path: Path) -> None:
    files = PROTOCOL.pictures(of_mesh(truth["vertices"] * 1.05), truth, tmp_path / "new")
    assert [file.name for file in files] == ["views.png", "turntable.png"]
    assert all(colors_of(file) > 30 for file in files)


def test_pictures_of_nothing_and_without_truth(truth: dict[str, Any], tmp_path: Path) -> None:
    nothing = of_mesh(np.zeros((0, 3)), np.zeros((0, 3), int))
    assert len(PROTOCOL.pictures(nothing, truth, tmp_path / "a")) == 2
    outlined = {key: value for key, value in truth.items() if key != "mesh"}
    assert len(PROTOCOL.pictures(nothing, outlined, tmp_path / "b")) == 2

from typing import Any

import numpy as np
import pytest
from evaluating import scores_of
from sphere_scan import CENTRE, RADIUS, sphere_scan

from deep3dmap.benchmarks.indoor.protocol import IndoorProtocol
from deep3dmap.core.errors import UserError
from deep3dmap.methods.mean_depth_plane.method import MeanDepthPlane, MeanDepthPlaneConfig
from deep3dmap.methods.tsdf_fusion.method import TSDFFusion, TSDFFusionConfig

SCAN = sphere_scan()


def given(method: Any) -> dict[str, Any]:
    return {key: SCAN[key] for key in method.card.consumes}


def test_a_ball_is_fused_to_its_radius_and_colour() -> None:
    method = TSDFFusion(TSDFFusionConfig(voxel_size=0.03))
    found = method.reconstruct(given(method))
    assert (found.frame, found.unit) == ("world", "metre")
    assert found.mesh is not None
    radii = np.linalg.norm(found.mesh.vertices - CENTRE, axis=-1)
    assert np.abs(radii - RADIUS).mean() < 0.004
    assert np.percentile(np.abs(radii - RADIUS), 99) < 0.03
    assert found.mesh.colors is not None
    np.testing.assert_allclose(found.mesh.colors.mean(0), (0.8, 0, 0), atol=0.02)
    score = scores_of(IndoorProtocol(), found, SCAN)
    assert score["precision_5cm"] > 0.99
    assert score["abs_diff"] < 0.01


def test_faces_point_to_the_cameras() -> None:
    method = TSDFFusion(TSDFFusionConfig(voxel_size=0.04, color=False))
    mesh = method.reconstruct(given(method)).mesh
    assert mesh is not None
    assert mesh.colors is None
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((normals * (corners.mean(1) - CENTRE)).sum(-1) > 0).mean() > 0.95


def test_a_scan_without_depth_in_range_is_a_clear_error() -> None:
    method = TSDFFusion(TSDFFusionConfig(voxel_size=0.04, max_depth=0.5))
    with pytest.raises(UserError, match="no valid depth"):
        method.reconstruct(given(method))


@pytest.mark.parametrize("fields", [{"voxel_size": 0}, {"truncation_voxels": 0.5}, {"max_depth": -1}])
def test_senseless_settings_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(UserError, match="tsdf_fusion"):
        TSDFFusion(TSDFFusionConfig(**fields))


class Loop:
    """A minimal training loop, sufficient for computing a mean."""

    class settings:  # noqa: N801
        inputs: dict[str, str] = {}

    def __init__(self, depths: list[float], step: int = 0) -> None:
        self.dataset = [{"depths": [np.full((4, 4), depth, np.float32)]} for depth in depths]
        self.step = step


def test_the_mean_depth_is_learnt_and_kept() -> None:
    method = MeanDepthPlane(MeanDepthPlaneConfig())
    assert method.depth == 2.0
    list(method.train_steps(Loop([1.0, 2.0])))
    other = MeanDepthPlane(MeanDepthPlaneConfig())
    other.load_state_dict(method.state_dict())
    list(other.train_steps(Loop([1.0, 2.0, 6.0], step=2)))
    assert (method.depth, other.depth) == (1.5, 3.0)


def test_the_baseline_never_sees_depth_and_is_worse_than_fusion() -> None:
    method = MeanDepthPlane(MeanDepthPlaneConfig(voxel_size=0.06))
    assert "depths" not in method.card.consumes
    found = method.reconstruct(given(method))
    fusion = TSDFFusion(TSDFFusionConfig(voxel_size=0.06))
    scores = [scores_of(IndoorProtocol(), r, SCAN)["f_score_5cm"] for r in (found, fusion.reconstruct(given(fusion)))]
    assert scores[0] < 0.5 < scores[1]
    assert found.notes["training_rooms"] == 0

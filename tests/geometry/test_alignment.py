"""Alignment of point sets: closed forms, the published example, and ICP."""

from pathlib import Path

import numpy as np
import pytest
import torch

from deep3dmap.geometry.alignment import Similarity3D, icp, umeyama
from deep3dmap.geometry.rotations import angle_between, matrix_of_axis_angle


def _cloud(count: int = 200, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, 3)) * (1.0, 2.0, 0.5))


def _known(scale: float = 1.7) -> Similarity3D:
    return Similarity3D(scale, matrix_of_axis_angle([0.3, -1.0, 2.0]), torch.tensor([3.0, -2.0, 0.5], dtype=torch.float64))


def test_umeyama_recovers_a_known_similarity() -> None:
    source, known = _cloud(), _known()
    found = umeyama(source.numpy(), known.apply(source).numpy())
    assert found.scale == pytest.approx(1.7)
    assert torch.allclose(found.rotation, known.rotation)
    assert torch.allclose(found.translation, known.translation)


def test_without_scale_the_transform_is_rigid() -> None:
    source, known = _cloud(), _known(scale=1.0)
    found = umeyama(source, 1.5 * known.apply(source), scale=False)
    assert found.scale == 1.0
    assert torch.allclose(found.rotation, known.rotation)


def test_a_mirror_image_is_met_by_a_rotation() -> None:
    source = _cloud()
    found = umeyama(source, source * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64))
    assert torch.linalg.det(found.rotation).item() == pytest.approx(1.0)
    assert found.scale < 1.0


def test_points_of_a_plane_keep_a_proper_rotation() -> None:
    source, known = _cloud() * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64), _known()
    found = umeyama(source, known.apply(source))
    assert torch.allclose(found.rotation, known.rotation)


def test_umeyama_equals_the_published_case(golden: Path) -> None:
    with np.load(golden / "prnet/nme/io.npz") as case:
        found = umeyama(case["pred"][0].T, case["gt"][0].T)
        assert found.scale == pytest.approx(float(case["umeyama_s"]), rel=1e-6)
        assert np.allclose(found.rotation, case["umeyama_R"], atol=1e-6)
        assert np.allclose(found.translation, case["umeyama_t"], atol=1e-3)
        error = np.linalg.norm(found.apply(case["pred"][0].T).numpy() - case["gt"][0].T, axis=1).mean()
        assert error / case["interocular_0"] == pytest.approx(case["nme_interocular_after_umeyama_0"], rel=1e-5)


@pytest.mark.parametrize("shape", [(2, 3), (5, 2), (5,)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="N >= 3"):
        umeyama(torch.zeros(shape), torch.zeros(shape))


@pytest.mark.parametrize("scale", [False, True])
def test_icp_finds_the_pose_of_a_shuffled_cloud(scale: bool) -> None:
    target = _cloud(800)
    shift = torch.tensor([0.05, 0.02, -0.04], dtype=torch.float64)
    away = Similarity3D(1.05 if scale else 1.0, matrix_of_axis_angle([0.05, -0.08, 0.1]), shift)
    source = away.apply(target)[torch.randperm(800, generator=torch.Generator().manual_seed(1))]
    found = icp(source, target, scale=scale, iterations=200)
    assert torch.allclose(found.apply(away.apply(target)), target, atol=1e-6)


def test_icp_keeps_the_scale_it_was_given() -> None:
    target, initial = _cloud(500), _known(scale=0.5)
    source = umeyama(initial.apply(target), target, scale=True).apply(target) + 0.02
    found = icp(source, target, initial, iterations=100)
    assert found.scale == 0.5
    assert torch.allclose(found.apply(source), target, atol=1e-6)
    assert angle_between(found.rotation, initial.rotation).item() < 1e-6


def test_icp_leaves_out_pairs_that_are_far_apart() -> None:
    target = _cloud(500)
    source = torch.cat([target[:300] + 0.01, torch.full((50, 3), 40.0, dtype=torch.float64)])
    found = icp(source, target, max_distance=1.0)
    assert torch.allclose(found.apply(source[:300]), target[:300], atol=1e-6)
    with pytest.raises(ValueError, match="use a closer initial transform"):
        icp(source, target + 100, max_distance=1.0)


def test_icp_never_makes_it_worse() -> None:
    target = _cloud(300)
    found = icp(target, target)
    assert torch.allclose(found.apply(target), target)

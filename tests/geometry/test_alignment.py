"""Alignment recovers known transforms, never reflects, and agrees with the official numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from deep3dmap.geometry.alignment import Similarity3D, icp, umeyama


def known(seed: int) -> tuple[torch.Tensor, Similarity3D]:
    rng = np.random.default_rng(seed)
    rotation = torch.tensor(Rotation.random(random_state=seed).as_matrix())
    return torch.tensor(rng.standard_normal((40, 3))), Similarity3D(
        float(rng.uniform(0.3, 3)), rotation, torch.tensor(rng.standard_normal(3))
    )


@pytest.mark.parametrize("seed", range(10))
def test_known_similarity_is_recovered(seed: int) -> None:
    points, true = known(seed)
    found = umeyama(points, true.apply(points))
    assert found.scale == pytest.approx(true.scale)
    torch.testing.assert_close(found.rotation, true.rotation)
    torch.testing.assert_close(found.translation, true.translation)


def test_rigid_keeps_the_scale_and_a_mirror_is_not_taken() -> None:
    points, true = known(3)
    rigid = umeyama(points, true.apply(points), scale=False)
    assert rigid.scale == 1.0
    mirrored = umeyama(points, points * torch.tensor([-1.0, 1.0, 1.0]))
    assert torch.linalg.det(mirrored.rotation) == pytest.approx(1.0)


def test_icp_finds_a_small_motion() -> None:
    points, _ = known(4)
    rotation = torch.tensor(Rotation.from_rotvec([0.01, -0.02, 0.015]).as_matrix())
    motion = Similarity3D(1.01, rotation, torch.tensor([0.01, 0.005, -0.01], dtype=torch.float64))
    identity = Similarity3D(1.0, torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
    found = icp(points, motion.apply(points), identity, scale=True)
    torch.testing.assert_close(found.apply(points), motion.apply(points), atol=1e-9, rtol=0)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="N >= 3"):
        umeyama(torch.zeros(2, 3), torch.zeros(2, 3))


def test_official_alignment(golden: Path) -> None:
    with np.load(golden / "prnet" / "nme" / "io.npz") as file:
        data = {name: torch.tensor(file[name]).double() for name in file.files}
    pred, gt = (data[name][0].T if data[name].shape[1] == 3 else data[name][0] for name in ("pred", "gt"))
    found = umeyama(pred, gt)
    assert found.scale == pytest.approx(float(data["umeyama_s"]), rel=1e-4)
    torch.testing.assert_close(found.rotation, data["umeyama_R"], atol=1e-4, rtol=0)
    torch.testing.assert_close(found.translation, data["umeyama_t"].flatten(), atol=1e-2, rtol=1e-4)

"""SMPL-X: the formulas of the paper, written out joint by joint with 4x4 matrices; and a file with malicious pickles."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from deep3dmap.core.errors import UserError
from deep3dmap.geometry.smplx_template import SMPLXTemplate

PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 15, 15, 15]
for _wrist, _first in ((20, 25), (21, 40)):
    for _finger in range(5):
        PARENTS += [_wrist, _first + 3 * _finger, _first + 3 * _finger + 1]


class Bomb:
    """An object that creates a folder when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("bomb-went-off",)


def arrays() -> dict[str, NDArray[Any]]:
    """A body of 40 vertices in the layout of SMPLX_NEUTRAL.npz."""
    rng = np.random.default_rng(0)
    weights, regressor = rng.random((40, 55)) ** 8, rng.random((55, 40))
    return {
        "v_template": rng.normal(0, 0.5, (40, 3)),
        "shapedirs": rng.normal(0, 0.02, (40, 3, 400)),
        "posedirs": rng.normal(0, 0.01, (40, 3, 486)),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(55)], np.uint32),
        "f": rng.integers(0, 40, (70, 3)).astype(np.uint32),
    }


def write(folder: Path, **changed: Any) -> Path:
    np.savez(folder / "SMPLX_NEUTRAL.npz", **{**arrays(), **changed})  # type: ignore[arg-type]
    return folder


def posed_by_hand(stored: dict[str, NDArray[Any]], vectors: NDArray[Any], shape: NDArray[Any], shift: NDArray[Any]) -> Any:
    """Equations 2 to 4 of Pavlakos et al. for one body: (V, 3) vertices and (55, 3) joints. vectors: (55, 3)."""
    chosen = np.concatenate([stored["shapedirs"][..., :10], stored["shapedirs"][..., 300:310]], 2)
    shaped = stored["v_template"] + chosen @ shape
    joints = stored["J_regressor"] @ shaped
    turns = Rotation.from_rotvec(vectors).as_matrix()
    bent = shaped + stored["posedirs"] @ np.concatenate([(turn - np.eye(3)).ravel() for turn in turns[1:]])
    world: list[NDArray[Any]] = []
    for joint, parent in enumerate(PARENTS):
        local = np.eye(4)
        local[:3, :3] = turns[joint]
        local[:3, 3] = joints[joint] - (joints[parent] if joint else 0)
        world.append(local if joint == 0 else world[parent] @ local)
    relative = []
    for joint, matrix in enumerate(world):
        moved = matrix.copy()
        moved[:3, 3] -= matrix[:3, :3] @ joints[joint]
        relative.append(moved)
    blended = np.einsum("vj,jkl->vkl", stored["weights"], np.stack(relative))
    vertices = np.einsum("vkl,vl->vk", blended, np.concatenate([bent, np.ones((40, 1))], 1))[:, :3]
    return vertices + shift, np.stack(world)[:, :3, 3] + shift


def test_the_body_is_that_of_the_paper(tmp_path: Path) -> None:
    template = SMPLXTemplate(write(tmp_path))
    rng = np.random.default_rng(1)
    parts = {"betas": 10, "expression": 10, "global_orient": 3, "body_pose": 63, "jaw_pose": 3}
    parts |= {"left_hand_pose": 45, "right_hand_pose": 45, "translation": 3}
    given = {name: rng.normal(0, 0.4, (2, size)) for name, size in parts.items()}
    parameters = {name: torch.from_numpy(value).float() for name, value in given.items()}
    vertices, joints = template.vertices(parameters), template.joints(parameters)
    for body in range(2):
        names = ("global_orient", "body_pose", "jaw_pose", None, "left_hand_pose", "right_hand_pose")
        vectors = np.concatenate([np.zeros(6) if name is None else given[name][body] for name in names]).reshape(55, 3)
        shape = np.concatenate([given["betas"][body], given["expression"][body]])
        expected = posed_by_hand(arrays(), vectors, shape, given["translation"][body])
        np.testing.assert_allclose(vertices[body], expected[0], atol=2e-5)
        np.testing.assert_allclose(joints[body], expected[1], atol=2e-5)
    torch.testing.assert_close(template.landmarks(vertices), template.joint_regressor @ vertices)
    assert template.faces.shape == (70, 3)
    assert template.groups == parts


def test_at_rest_it_is_the_mean(tmp_path: Path) -> None:
    template = SMPLXTemplate(write(tmp_path))
    np.testing.assert_allclose(template.vertices({"betas": torch.zeros(1, 10)})[0], arrays()["v_template"], atol=1e-6)
    assert template.prior({"body_pose": torch.zeros(1, 63), "jaw_pose": torch.full((1, 3), 0.2)}).item() == pytest.approx(3)


def test_what_is_pickled_in_the_file_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SMPL-X files contain pickled dictionaries, which could execute arbitrary code."""
    monkeypatch.chdir(tmp_path)
    folder = write(tmp_path, joint2num=np.array(Bomb(), dtype=object), part2num=np.array({"head": 15}, dtype=object))
    assert len(SMPLXTemplate(folder).mean()) == 40
    assert not (tmp_path / "bomb-went-off").exists()
    write(tmp_path, v_template=np.array(Bomb(), dtype=object))
    with pytest.raises(UserError, match=r"SMPLX_NEUTRAL\.npz: no field 'v_template'"):
        SMPLXTemplate(folder)
    assert not (tmp_path / "bomb-went-off").exists()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"posedirs": np.zeros((40, 3, 207))}, "posedirs must be"),
        ({"shapedirs": np.zeros((40, 3, 20))}, "shapedirs must be"),
        ({"v_template": np.full((40, 3), np.nan)}, "v_template contains NaN"),
        ({"f": np.full((70, 3), 40)}, "f must index the 40 vertices"),
        ({"kintree_table": np.full((2, 55), 54)}, "parents that come after"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=rf"SMPLX_NEUTRAL\.npz: .*{says}"):
        SMPLXTemplate(write(tmp_path, **changed))


def test_absent_files_say_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no SMPLX_FEMALE.npz in it; register"):
        SMPLXTemplate(tmp_path, "female")

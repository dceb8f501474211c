"""SMPL-X as a template (G. Pavlakos et al., CVPR 2019), from the model files, which each user must obtain under licence.

Besides arrays, the files contain pickled Python objects, which could execute code; they are not needed and not read. Pose
correctives are linear in the entries of the joint rotation matrices, as in SMPL.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import read_npz, reading
from deep3dmap.geometry.joint_limits import pose_limits, pose_sigma
from deep3dmap.geometry.linear_blend_skinning import chain, rotations_of_vectors, skin
from deep3dmap.geometry.template import Parameters, Template

GENDERS = ("neutral", "male", "female")
FIELDS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")
SHAPES = 300  # shape directions in `shapedirs`; the expression directions follow
# In joint order: root, body, jaw, eyes (not posed), left and right hand.
_POSES = {"global_orient": 3, "body_pose": 63, "jaw_pose": 3, "eyes": 6, "left_hand_pose": 45, "right_hand_pose": 45}
_HAND_SPREAD = 0.5  # radians


class SMPLXTemplate(Template):
    """SMPL-X: 10,475 vertices, 20,908 faces, 55 joints. Frame and groups as in `BodyTemplate`; hands are flat at rest.

    Groups: betas and expression (10) in sigma; body_pose (63), global_orient (3), jaw_pose (3), left_hand_pose and
    right_hand_pose (45), axis-angle vectors in radians; translation (3) in metres. Landmarks: the 55 joints, regressed from the
    vertices. Raises UserError for a missing or invalid model file.
    """

    def __init__(self, folder: Path, gender: str = "neutral", betas: int = 10, expressions: int = 10) -> None:
        super().__init__()
        file = model_file(folder, gender)
        arrays = read_npz(file, "SMPL-X model", FIELDS, skip_objects=True, most_bytes=1 << 30)
        with reading(file, "SMPL-X model", "download it again"):
            self._take(arrays, betas, expressions)
        self.groups = {"betas": betas, "expression": expressions}
        self.groups |= {name: size for name, size in _POSES.items() if name != "eyes"} | {"translation": 3}
        self.uv = self.faces_uv = None

    _mean: Tensor
    _shape_basis: Tensor
    _pose_basis: Tensor
    joint_regressor: Tensor
    weights: Tensor

    def vertices(self, parameters: Parameters) -> Tensor:
        """Return the posed vertices (B, V, 3) in metres."""
        shaped, joints, turns, rotations, positions = self._posed(parameters)
        bent = (turns[:, 1:] - torch.eye(3, dtype=turns.dtype, device=turns.device)).flatten(1)
        moved = skin(shaped + (bent @ self._pose_basis).reshape(shaped.shape), self.weights, rotations, positions, joints)
        return moved + self.padded(parameters, "translation", len(moved))[:, None]

    def joints(self, parameters: Parameters) -> Tensor:
        """Return the joints of the kinematic chain, (B, 55, 3) metres."""
        positions = self._posed(parameters)[4]
        return positions + self.padded(parameters, "translation", len(positions))[:, None]

    def landmarks(self, vertices: Tensor) -> Tensor:
        """Return joints (B, 55, 3) regressed from the posed vertices (B, V, 3)."""
        return self.joint_regressor.to(vertices) @ vertices

    def sigma(self, group: str) -> Tensor:
        """Return standard deviations (n,): one for betas and expression, radians for poses, infinite for the global pose."""
        size = self.groups[group]
        if group == "body_pose":
            return pose_sigma(self._mean)[:size]
        spread = {"global_orient": float("inf"), "translation": float("inf"), "jaw_pose": 0.2}
        return self._mean.new_full((size,), spread.get(group, _HAND_SPREAD if "hand" in group else 1.0))

    def limits(self) -> tuple[Tensor, Tensor]:
        """Return the smallest and largest plausible components of `body_pose` in radians."""
        return pose_limits(self._mean)

    def mean(self) -> Tensor:
        """Return the mean body in the rest pose, (V, 3) metres."""
        return self._mean

    def _posed(self, parameters: Parameters) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        batch = self.batch_of(parameters)
        shape = torch.cat([self.padded(parameters, name, batch) for name in ("betas", "expression")], 1)
        shaped = self._mean + (shape @ self._shape_basis).reshape(batch, -1, 3)
        joints = self.joint_regressor @ shaped
        still = self._mean.new_zeros(batch, _POSES["eyes"])
        poses = [still if name == "eyes" else self.padded(parameters, name, batch) for name in _POSES]
        turns = rotations_of_vectors(torch.cat(poses, 1).reshape(batch, -1, 3))
        return shaped, joints, turns, *chain(turns, joints, self.parents)

    def _take(self, arrays: dict[str, NDArray[Any]], betas: int, expressions: int) -> None:
        vertices, joints = len(arrays["v_template"]), sum(_POSES.values()) // 3
        directions = arrays["shapedirs"]
        wanted = {"v_template": (vertices, 3), "posedirs": (vertices, 3, 9 * (joints - 1)), "J_regressor": (joints, vertices)}
        wanted |= {"weights": (vertices, joints), "kintree_table": (2, joints), "f": (len(arrays["f"]), 3)}
        wanted |= {"shapedirs": (vertices, 3, max(SHAPES + expressions, directions.shape[-1]))}
        for name, shape in wanted.items():
            if arrays[name].shape != shape:
                raise ValueError(f"{name} must be {shape}, got {arrays[name].shape}")
        faces = arrays["f"].astype(np.int64)
        if not 0 <= betas <= SHAPES or faces.min() < 0 or faces.max() >= vertices:
            raise ValueError(f"f must index the {vertices} vertices, and betas must be at most {SHAPES}")
        kept = np.concatenate([directions[..., :betas], directions[..., SHAPES : SHAPES + expressions]], 2)
        self.parents = (-1, *(int(parent) for parent in arrays["kintree_table"][0, 1:]))
        if not all(0 <= parent < joint for joint, parent in enumerate(self.parents) if joint):
            raise ValueError("kintree_table contains parents that come after their children")
        self.keep("_mean", arrays["v_template"].astype(np.float32))
        self.keep("_shape_basis", kept.reshape(-1, betas + expressions).T.astype(np.float32).copy())
        self.keep("_pose_basis", arrays["posedirs"].reshape(-1, 9 * (joints - 1)).T.astype(np.float32).copy())
        self.keep("joint_regressor", arrays["J_regressor"].astype(np.float32))
        self.keep("weights", arrays["weights"].astype(np.float32))
        self.keep("faces", faces)


def model_file(folder: Path, gender: str = "neutral") -> Path:
    """Find SMPLX_<GENDER>.npz in a folder or its smplx/ subfolder; the UserError for a missing file says where to get it."""
    if gender not in GENDERS:
        raise UserError(f"the gender of SMPL-X must be one of {', '.join(GENDERS)}, got '{gender}'")
    name = f"SMPLX_{gender.upper()}.npz"
    for file in (folder / name, folder / "smplx" / name):
        if file.is_file():
            return file
    raise UserError(
        f"{folder}: no {name} in it; register at the SMPL-X site of the MPI for Intelligent Systems, download the models"
        " and pass the folder that contains them"
    )

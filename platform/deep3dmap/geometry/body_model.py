"""An articulated body model (rest shape, shape basis, skeleton, skinning weights) and the template that poses it.

Frame: x to the subject's left, y up, z forwards; metres. In the rest pose the arms are stretched out to the sides.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deep3dmap.core.files import read_npz, reading
from deep3dmap.geometry.joint_limits import pose_limits, pose_sigma
from deep3dmap.geometry.linear_blend_skinning import chain, rotations_of_vectors, skin
from deep3dmap.geometry.template import Parameters, Template

# The body joints of SMPL-X, in its order, with their parents.
SKELETON: dict[str, str | None] = {
    "pelvis": None,
    "left_hip": "pelvis",
    "right_hip": "pelvis",
    "spine1": "pelvis",
    "left_knee": "left_hip",
    "right_knee": "right_hip",
    "spine2": "spine1",
    "left_ankle": "left_knee",
    "right_ankle": "right_knee",
    "spine3": "spine2",
    "left_foot": "left_ankle",
    "right_foot": "right_ankle",
    "neck": "spine3",
    "left_collar": "spine3",
    "right_collar": "spine3",
    "head": "neck",
    "left_shoulder": "left_collar",
    "right_shoulder": "right_collar",
    "left_elbow": "left_shoulder",
    "right_elbow": "right_shoulder",
    "left_wrist": "left_elbow",
    "right_wrist": "right_elbow",
}
JOINTS = tuple(SKELETON)
PARENTS = tuple(-1 if parent is None else JOINTS.index(parent) for parent in SKELETON.values())


@dataclass(frozen=True)
class BodyModel:
    """A body with V vertices, F faces, J joints and K shape coefficients. Raises ValueError for inconsistent arrays.

    rest: (V, 3) metres. faces: (F, 3), counter-clockwise from outside. shape_basis: (V, 3, K) metres per sigma.
    joint_regressor: (J, V), rows sum to one; rest joints = joint_regressor @ vertices. weights: (V, J), rows sum to one.
    parents: (J,) index of each joint's parent, lower than its own; -1 for the root.
    """

    rest: NDArray[Any]
    faces: NDArray[Any]
    shape_basis: NDArray[Any]
    joint_regressor: NDArray[Any]
    weights: NDArray[Any]
    parents: NDArray[Any]

    def __post_init__(self) -> None:
        vertices, joints = len(self.rest), len(self.parents)
        expected = {"rest": (vertices, 3), "shape_basis": (vertices, 3, self.shape_basis.shape[-1])}
        expected |= {"faces": (len(self.faces), 3), "joint_regressor": (joints, vertices), "weights": (vertices, joints)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must be {shape}, got {getattr(self, name).shape}")
        for name in ("joint_regressor", "weights"):
            if np.abs(getattr(self, name).sum(1) - 1).max() > 1e-3:
                raise ValueError(f"the rows of {name} must sum to one")
        if self.faces.min() < 0 or self.faces.max() >= vertices:
            raise ValueError(f"faces must index the {vertices} vertices")
        if self.parents[0] != -1 or not all(0 <= parent < joint for joint, parent in enumerate(self.parents) if joint):
            raise ValueError("parents must be -1 for the first joint and lower than the joint's index for all others")

    def save(self, file: Path) -> None:
        """Write the body as .npz."""
        arrays = {one.name: getattr(self, one.name) for one in fields(self)}
        np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, file: Path) -> "BodyModel":
        """Read a file written by `save`; raises UserError naming the file."""
        names = [one.name for one in fields(cls)]
        arrays = read_npz(file, "body", names)
        with reading(file, "body", "write it with BodyModel.save"):
            return cls(**{name: arrays[name] for name in names})


class BodyTemplate(Template):
    """A body posed by linear blend skinning, with SMPL's parametrisation.

    Groups: betas (K) in sigma; body_pose ((J - 1) * 3) and global_orient (3), axis-angle vectors in radians in the parent's
    axes; translation (3) in metres. Landmarks: the J joints, regressed from the posed vertices.
    """

    def __init__(self, model: BodyModel) -> None:
        super().__init__()
        self.model = model
        self.groups = {"betas": model.shape_basis.shape[2], "body_pose": 3 * (len(model.parents) - 1)}
        self.groups |= {"global_orient": 3, "translation": 3}
        self.parents = tuple(int(parent) for parent in model.parents)
        self.keep("_rest", model.rest)
        self.keep("_basis", model.shape_basis.reshape(-1, model.shape_basis.shape[2]).T.copy())
        self.keep("joint_regressor", model.joint_regressor)
        self.keep("weights", model.weights)
        self.keep("faces", model.faces)
        self.uv = self.faces_uv = None

    _rest: Tensor
    _basis: Tensor
    joint_regressor: Tensor
    weights: Tensor

    def vertices(self, parameters: Parameters) -> Tensor:
        """Return the posed vertices (B, V, 3) in metres."""
        shaped, joints, rotations, positions = self._posed(parameters)
        moved = skin(shaped, self.weights, rotations, positions, joints)
        return moved + self.padded(parameters, "translation", len(moved))[:, None]

    def joints(self, parameters: Parameters) -> Tensor:
        """Return the joints of the kinematic chain, (B, J, 3) metres. Bent joints differ from `landmarks` by centimetres."""
        positions = self._posed(parameters)[3]
        return positions + self.padded(parameters, "translation", len(positions))[:, None]

    def landmarks(self, vertices: Tensor) -> Tensor:
        """Return joints (B, J, 3) regressed from the posed vertices (B, V, 3)."""
        return self.joint_regressor.to(vertices) @ vertices

    def sigma(self, group: str) -> Tensor:
        """Return standard deviations (n,): one for betas, radians for poses, infinite for translation and global_orient."""
        if group == "body_pose":
            return pose_sigma(self._rest)[: self.groups[group]]
        return self._rest.new_full((self.groups[group],), 1.0 if group == "betas" else float("inf"))

    def limits(self) -> tuple[Tensor, Tensor]:
        """Return the smallest and largest plausible components of `body_pose` in radians; see `joint_limits.beyond_limits`."""
        return pose_limits(self._rest)

    def mean(self) -> Tensor:
        """Return the mean body in the rest pose, (V, 3) metres."""
        return self._rest

    def _posed(self, parameters: Parameters) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        batch = self.batch_of(parameters)
        shaped = self._rest + (self.padded(parameters, "betas", batch) @ self._basis).reshape(batch, -1, 3)
        joints = self.joint_regressor @ shaped
        pose = torch.cat([self.padded(parameters, name, batch) for name in ("global_orient", "body_pose")], 1)
        rotations, positions = chain(rotations_of_vectors(pose.reshape(batch, -1, 3)), joints, self.parents)
        return shaped, joints, rotations, positions

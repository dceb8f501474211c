"""SMPL-X as a template, through the optional package `smplx` and model files that each user obtains under their licence."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.geometry.pose_prior import pose_limits, pose_sigma
from deep3dmap.geometry.template import Parameters, Template

GENDERS = ("neutral", "male", "female")
_POSES = {"body_pose": 63, "global_orient": 3, "left_hand_pose": 45, "right_hand_pose": 45, "jaw_pose": 3}
_HAND_SPREAD = 0.5  # radians


class SMPLXTemplate(Template):
    """SMPL-X (G. Pavlakos et al., CVPR 2019): 10,475 vertices, 20,908 faces, 55 joints. Frame and groups as `BodyTemplate`.

    Groups: betas (10) and expression (10) in sigma; body_pose (63), global_orient, jaw_pose (3), left_hand_pose and
    right_hand_pose (45), axis times radians; translation (3) metres. Landmarks: the 55 joints regressed from the vertices.
    """

    def __init__(self, folder: Path, gender: str = "neutral", betas: int = 10) -> None:
        super().__init__()
        file = model_file(folder, gender)
        try:
            import smplx
        except ModuleNotFoundError as error:
            raise UserError("SMPL-X needs the package smplx; run: pip install smplx") from error
        try:
            made: Any = smplx.create(
                str(file), model_type="smplx", gender=gender, use_pca=False, flat_hand_mean=True, num_betas=betas
            )
        except Exception as error:  # the package raises a different type for every way a file can be wrong
            raise UserError(f"{file}: the package smplx cannot read it ({error}); download it again") from error
        # Neither its weights nor its defaults for a batch of one are to be trained or saved with a method.
        object.__setattr__(self, "_smplx", made.requires_grad_(False))
        self.groups = {"betas": betas, "expression": 10, **_POSES, "translation": 3}
        self.keep("faces", torch.as_tensor(made.faces.astype("int64")))
        self.keep("joint_regressor", made.J_regressor)
        self.keep("_mean", made.v_template)
        self.uv = self.faces_uv = None

    _smplx: Any
    _mean: Tensor
    joint_regressor: Tensor

    def vertices(self, parameters: Parameters) -> Tensor:
        """(B, V, 3) metres."""
        return self._run(parameters).vertices

    def joints(self, parameters: Parameters) -> Tensor:
        """(B, 55, 3) metres: where the chain puts the joints."""
        return self._run(parameters).joints[:, : len(self.joint_regressor)]

    def landmarks(self, vertices: Tensor) -> Tensor:
        """(B, 55, 3) the joint regressor applied to posed vertices (B, V, 3)."""
        return self.joint_regressor.to(vertices) @ vertices

    def sigma(self, group: str) -> Tensor:
        """(n,) one for betas and expression, radians for poses; infinite for where the body stands and how it is turned."""
        size = self.groups[group]
        if group == "body_pose":
            return pose_sigma(self._mean)[:size]
        spread = {"global_orient": float("inf"), "translation": float("inf"), "jaw_pose": 0.2}
        return self._mean.new_full((size,), spread.get(group, _HAND_SPREAD if "hand" in group else 1.0))

    def limits(self) -> tuple[Tensor, Tensor]:
        """Least and greatest plausible component of `body_pose`, radians."""
        return pose_limits(self._mean)

    def mean(self) -> Tensor:
        """(V, 3) the mean body at rest."""
        return self._mean

    def _run(self, parameters: Parameters) -> Any:
        batch = self.batch_of(parameters)
        values = {group: self.padded(parameters, group, batch) for group in self.groups}
        still = self._mean.new_zeros(batch, 3)
        model = self._smplx.to(self._mean)
        return model(transl=values.pop("translation"), leye_pose=still, reye_pose=still, return_verts=True, **values)


def model_file(folder: Path, gender: str = "neutral") -> Path:
    """Return SMPLX_<GENDER>.npz in a folder or in smplx/ below it; raises UserError that says where to get it."""
    if gender not in GENDERS:
        raise UserError(f"gender of SMPL-X is one of {', '.join(GENDERS)}, got '{gender}'")
    name = f"SMPLX_{gender.upper()}.npz"
    for file in (folder / name, folder / "smplx" / name):
        if file.is_file():
            return file
    raise UserError(
        f"{folder}: no {name} in it; register at the SMPL-X site of the MPI for Intelligent Systems, download the models"
        " and give the folder that holds them"
    )

"""The pose of a subject: one rigid transform in the world from the predictions of all calibrated views."""

from typing import NamedTuple

import torch
from torch import Tensor

from deep3dmap.methods.multiview_face.encoder import Encoding, rotation_from_6d

# Precision of the depth inferred from the subject's size in a view, relative to that of the viewing ray.
DEPTH_SHARE = 0.1


class Cameras(NamedTuple):
    """Calibrated views. intrinsics: (B, V, 3, 3) pixels. world_from_camera: (B, V, 4, 4). height, width: pixels."""

    intrinsics: Tensor
    world_from_camera: Tensor
    height: int
    width: int


class RigidPose(NamedTuple):
    """world = rotation @ subject + translation. rotation: (B, 3, 3). translation: (B, 3) metres."""

    rotation: Tensor
    translation: Tensor

    def apply(self, points: Tensor) -> Tensor:
        """Transform points (B, N, 3) of the subject to the world."""
        return points @ self.rotation.transpose(1, 2) + self.translation[:, None]


def fuse_poses(encoding: Encoding, cameras: Cameras, subject_size: float) -> RigidPose:
    """Fuse the views' predictions into one pose, weighted by confidence.

    subject_size: largest extent of the subject at rest, in metres. The rotation is the orthonormalised mean of the first two
    columns. The translation is the point nearest to the rays through the subject's centre in each view, including their depths.
    """
    weight = encoding.confidence / encoding.confidence.sum(1, keepdim=True)
    turned = cameras.world_from_camera[..., :3, :3] @ encoding.rotation
    columns = (weight[..., None, None] * turned[..., :2]).sum(1)
    rotation = rotation_from_6d(columns.transpose(1, 2).flatten(1))
    return RigidPose(rotation, _nearest_point(*_rays(encoding, cameras, subject_size), weight))


def camera_centres(encoding: Encoding, cameras: Cameras, subject_size: float) -> Tensor:
    """Return the subject's centre as predicted by every single view, (B, V, 3) metres in that camera."""
    side = max(cameras.height, cameras.width)
    middle = encoding.centre.new_tensor([cameras.width / 2, cameras.height / 2])
    pixels = encoding.centre * side + middle
    focal = cameras.intrinsics[..., 0, 0]
    depth = focal * subject_size / (side * encoding.log_size.exp())
    principal = cameras.intrinsics[..., :2, 2]
    focals = torch.stack([focal, cameras.intrinsics[..., 1, 1]], -1)
    return torch.cat([(pixels - principal) / focals * depth[..., None], depth[..., None]], -1)


def _rays(encoding: Encoding, cameras: Cameras, subject_size: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return origins and unit directions in the world, (B, V, 3), and distances along them, (B, V)."""
    centres = camera_centres(encoding, cameras, subject_size)
    distance = centres.norm(dim=-1)
    rotation = cameras.world_from_camera[..., :3, :3]
    directions = (rotation @ (centres / distance[..., None])[..., None])[..., 0]
    return cameras.world_from_camera[..., :3, 3], directions, distance


def _nearest_point(origins: Tensor, directions: Tensor, distances: Tensor, weight: Tensor) -> Tensor:
    along = directions[..., :, None] * directions[..., None, :]
    across = torch.eye(3, dtype=along.dtype, device=along.device) - along
    precision = weight[..., None, None] * (across + DEPTH_SHARE * along)
    seen = origins + distances[..., None] * directions
    return torch.linalg.solve(precision.sum(1), (precision @ seen[..., None])[..., 0].sum(1))

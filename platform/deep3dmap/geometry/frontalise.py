"""Turning a face to the front: pose and affine map between a cloud and the canonical one of its atlas.

Clouds are (N, 3) with the same point in the same row, in axes of an image: x right, y down, z towards the viewer.
After YadiraF/PRNet, utils/estimate_pose.py and utils/rotate_vertices.py, with Umeyama's similarity in place of its own.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deep3dmap.geometry.alignment import umeyama
from deep3dmap.geometry.face_pose import angles_of_rotation

UP = np.array([1.0, -1.0, 1.0])  # from image axes to those of 300W-LP, y up


class CloudPose(NamedTuple):
    """How a cloud lies in relation to the canonical one.

    angles: (3,) pitch, yaw, roll in radians as 300W-LP defines them. rotation: (3, 3), in axes with y up. scale: units of the
    cloud per canonical unit.
    """

    angles: NDArray[np.float64]
    rotation: NDArray[np.float64]
    scale: float


def pose_of_cloud(cloud: NDArray[Any], canonical: NDArray[Any]) -> CloudPose:
    """Return the pose of the similarity that best takes the canonical cloud to `cloud` (Umeyama 1991)."""
    found = umeyama(np.asarray(canonical, np.float64) * UP, np.asarray(cloud, np.float64) * UP)
    rotation = found.rotation.numpy()
    return CloudPose(angles_of_rotation(rotation), rotation, found.scale)


def frontal_affine(cloud: NDArray[Any], canonical: NDArray[Any]) -> NDArray[np.float64]:
    """Return the least-squares affine map (3, 4) that takes `cloud` to the canonical cloud."""
    cloud = np.asarray(cloud, np.float64)
    homogeneous = np.column_stack([cloud, np.ones(len(cloud))])
    return np.linalg.lstsq(homogeneous, np.asarray(canonical, np.float64), rcond=None)[0].T


def frontalised(cloud: NDArray[Any], canonical: NDArray[Any]) -> NDArray[np.float64]:
    """Return the cloud as it looks from the front, (N, 3) in the canonical frame."""
    affine = frontal_affine(cloud, canonical)
    return np.asarray(cloud, np.float64) @ affine[:, :3].T + affine[:, 3]

"""Face frontalisation: pose and affine map between a point cloud and the canonical cloud of its atlas.

Clouds are (N, 3) with corresponding rows, in image axes: x right, y down, z towards the viewer.
After YadiraF/PRNet, utils/estimate_pose.py and utils/rotate_vertices.py, but with Umeyama's similarity.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deep3dmap.geometry.alignment import umeyama
from deep3dmap.geometry.face_pose import angles_of_rotation

UP = np.array([1.0, -1.0, 1.0])  # converts image axes to those of 300W-LP, y up


class CloudPose(NamedTuple):
    """Pose of a cloud relative to the canonical one.

    angles: (3,) pitch, yaw, roll in radians as defined by 300W-LP. rotation: (3, 3), in axes with y up. scale: cloud units per
    canonical unit.
    """

    angles: NDArray[np.float64]
    rotation: NDArray[np.float64]
    scale: float


def pose_of_cloud(cloud: NDArray[Any], canonical: NDArray[Any]) -> CloudPose:
    """Return the pose of the least-squares similarity from the canonical cloud to `cloud` (Umeyama 1991)."""
    found = umeyama(np.asarray(canonical, np.float64) * UP, np.asarray(cloud, np.float64) * UP)
    rotation = found.rotation.numpy()
    return CloudPose(angles_of_rotation(rotation), rotation, found.scale)


def frontal_affine(cloud: NDArray[Any], canonical: NDArray[Any]) -> NDArray[np.float64]:
    """Return the least-squares affine map (3, 4) from `cloud` to the canonical cloud."""
    cloud = np.asarray(cloud, np.float64)
    homogeneous = np.column_stack([cloud, np.ones(len(cloud))])
    return np.linalg.lstsq(homogeneous, np.asarray(canonical, np.float64), rcond=None)[0].T


def frontalised(cloud: NDArray[Any], canonical: NDArray[Any]) -> NDArray[np.float64]:
    """Return the frontalised cloud, (N, 3) in the canonical frame."""
    affine = frontal_affine(cloud, canonical)
    return np.asarray(cloud, np.float64) @ affine[:, :3].T + affine[:, 3]

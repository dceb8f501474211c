"""Head pose in the format of 300W-LP: a scaled orthographic camera with angles pitch, yaw, roll.

R = Rx(pitch) Ry(yaw) Rz(roll) with the transposes of the usual right-handed matrices, after cleardusk/3DDFA and
YadiraF/face3d (`angle2matrix_3ddfa`). Model axes: x to the image right, y up, z towards the viewer. A positive yaw moves
the nose towards the image left, a positive pitch tilts the face up.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class HeadPose:
    """Scale, rotation and translation of a head: fit = scale * R v + translation.

    angles: (3,) pitch, yaw, roll in radians. translation: (3,) pixels. scale: pixels per model unit.
    Fit coordinates have x right and y UP, both starting from 1 at the centre of the lower left pixel, as in MATLAB.
    """

    angles: NDArray[np.float64]
    translation: NDArray[np.float64]
    scale: float

    @classmethod
    def from_parameters(cls, pose_para: NDArray[Any]) -> "HeadPose":
        """Read Pose_Para: pitch, yaw, roll, tx, ty, tz, s. Raises ValueError unless there are seven numbers."""
        values = np.asarray(pose_para, np.float64).ravel()
        if values.shape != (7,):
            raise ValueError(f"Pose_Para is pitch, yaw, roll, tx, ty, tz, s; got {len(values)} numbers")
        return cls(values[:3], values[3:6], float(values[6]))

    def parameters(self) -> NDArray[np.float32]:
        """Return (1, 7) float32, in the layout of Pose_Para."""
        return np.concatenate([self.angles, self.translation, [self.scale]]).astype(np.float32)[None]

    @property
    def rotation(self) -> NDArray[np.float64]:
        """Rotation matrix (3, 3)."""
        return rotation_of_angles(self.angles)

    def fit(self, vertices: NDArray[Any]) -> NDArray[np.float64]:
        """Transform model vertices (V, 3) to fit coordinates, y up."""
        return self.scale * np.asarray(vertices, np.float64) @ self.rotation.T + self.translation

    def image(self, vertices: NDArray[Any], height: int, one_based: bool = True) -> NDArray[np.float64]:
        """Transform model vertices (V, 3) to image pixels: y down, pixel centres at +0.5, z towards the viewer in pixels."""
        return image_from_fit(self.fit(vertices), height, one_based)


def image_from_fit(positions: NDArray[Any], height: int, one_based: bool = True) -> NDArray[np.float64]:
    """Convert fit coordinates (V, 3), y up, to image pixels, y down, centres at +0.5.

    MATLAB coordinates are 1-based, so the 0-based pixel is (x - 1, height - y). With `one_based=False` it is
    (x, height - 1 - y), as in face3d's example, which is one pixel off for 300W-LP.
    """
    x, y, z = np.asarray(positions, np.float64).T
    if one_based:
        return np.stack([x - 0.5, height - y + 0.5, z], 1)
    return np.stack([x + 0.5, height - y - 0.5, z], 1)


def rotation_of_angles(angles: NDArray[Any]) -> NDArray[np.float64]:
    """Return the rotation (3, 3) Rx Ry Rz of 3DDFA for pitch, yaw, roll (3,) in radians."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles, dtype=np.float64), np.sin(angles, dtype=np.float64)
    pitch = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    yaw = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    roll = np.array([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
    return pitch @ yaw @ roll


def angles_of_rotation(rotation: NDArray[Any]) -> NDArray[np.float64]:
    """Invert `rotation_of_angles` for |yaw| <= 90 degrees; at 90 degrees the roll is set to zero."""
    r = np.asarray(rotation, np.float64)
    yaw = np.arcsin(np.clip(-r[0, 2], -1, 1))
    if abs(r[0, 2]) > 1 - 1e-9:
        return np.array([np.arctan2(-r[2, 1], r[1, 1]), yaw, 0.0])
    return np.array([np.arctan2(r[1, 2], r[2, 2]), yaw, np.arctan2(r[0, 1], r[0, 0])])

"""Trajectories in text files: rows of a time, a position and a quaternion."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from deep3dmap.data.formats.numbers import increasing_times, read_rows

QUATERNION_TOLERANCE = 0.05  # generous for files rounded to four digits; larger deviations from length 1 are errors


def read_trajectory(file: Path, scalar_first: bool = False) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return non-decreasing times (N,) in seconds and poses (N, 4, 4) from rows `time tx ty tz qx qy qz qw`.

    scalar_first: the rows end in `qw qx qy qz`. Raises UserError naming the line of an invalid row, including NaN and
    quaternions whose length is not 1.
    """
    later = increasing_times()

    def fault(row: Sequence[float]) -> str | None:
        length = float(np.linalg.norm(row[4:]))
        if abs(length - 1) > QUATERNION_TOLERANCE:
            return f"the quaternion has length {length:.3g} instead of 1, so it is not a rotation"
        return later(row)

    rows = read_rows(file, 8, fault)
    quaternions = np.roll(rows[:, 4:], -1, 1) if scalar_first else rows[:, 4:]
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    if len(rows):
        poses[:, :3, :3] = Rotation.from_quat(quaternions).as_matrix()
    poses[:, :3, 3] = rows[:, 1:4]
    return rows[:, 0], poses

"""Selection of the frames of a video that the network sees: key frames by camera motion, grouped into fragments."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_VIEWS = 2


def select_fragments(
    world_from_camera: Any, views: int = 9, min_angle: float = 15.0, min_distance: float = 0.1, keep_tail: bool = False
) -> list[list[int]]:
    """Return fragments as lists of frame indices.

    world_from_camera: (F, 4, 4) metres; frames with a non-finite pose are skipped. A fragment begins with the first frame after
    the previous fragment. A frame is added when its optical axis has turned by more than min_angle degrees, or its centre has
    moved by more than min_distance metres, since the last added frame. An incomplete last fragment is dropped, as in the paper,
    unless `keep_tail` is set and it has at least two views.
    """
    poses = np.asarray(world_from_camera, np.float64)
    fragments: list[list[int]] = [[]]
    for frame in np.flatnonzero(np.isfinite(poses).all((1, 2))).tolist():
        current = fragments[-1]
        if current and not _has_moved(poses[current[-1]], poses[frame], min_angle, min_distance):
            continue
        current.append(frame)
        if len(current) == views:
            fragments.append([])
    tail = fragments.pop()
    return [*fragments, tail] if keep_tail and len(tail) >= MIN_VIEWS else fragments


def _has_moved(last: NDArray[np.float64], pose: NDArray[np.float64], min_angle: float, min_distance: float) -> bool:
    # Rounding can lift the cosine of equal axes above 1, for which arccos returns NaN.
    cosine = np.clip(last[:3, 2] @ pose[:3, 2], -1.0, 1.0)
    return bool(np.degrees(np.arccos(cosine)) > min_angle or np.linalg.norm(pose[:3, 3] - last[:3, 3]) > min_distance)

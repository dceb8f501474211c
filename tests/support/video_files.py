"""Writes short videos with OpenCV, for the tests that read them; skips where it cannot."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest


def write_video(file: Path, frames: Iterable[np.ndarray]) -> None:
    """Write (3, H, W) RGB frames in [0, 1], all of one size, as motion JPEG in an .avi."""
    cv2 = pytest.importorskip("cv2")
    pictures = [np.ascontiguousarray((255 * frame).round().astype(np.uint8).transpose(1, 2, 0)[..., ::-1]) for frame in frames]
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (width, height))
    for picture in pictures:
        writer.write(picture)
    writer.release()

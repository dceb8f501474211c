"""Animated images."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from deep3dmap.render.visualization import to_pil


def write_animation(frames: Sequence[Tensor], file: Path, frames_per_second: float = 12.0) -> Path:
    """Write frames (3, H, W) in [0, 1] as an infinitely looping WebP or PNG animation, depending on the suffix of `file`.

    Raises ValueError for no frames, frames of different sizes, and another suffix.
    """
    if file.suffix not in (".webp", ".png"):
        raise ValueError(f"an animation must be a .webp or a .png file, not '{file.name}'")
    if not frames or any(frame.shape != frames[0].shape for frame in frames):
        raise ValueError(f"an animation needs frames of one size, got {[tuple(frame.shape) for frame in frames]}")
    first, *others = (to_pil(frame) for frame in frames)
    duration = round(1000 / frames_per_second)
    # PIL merges identical frames, so a PNG whose frames are all identical is not animated.
    first.save(file, save_all=True, append_images=others, duration=duration, loop=0)
    return file

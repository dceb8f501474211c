"""Scenes with posed views, some of them held out, as samples; shared by the datasets of such scenes."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.dataset import Sample
from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.multiview import Frame, read_views
from deep3dmap.data.formats.nerf_synthetic import check_alpha
from deep3dmap.geometry.cameras import scale_intrinsics

BACKGROUNDS = {"white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0), "own": None}
OPAQUE = ("white", "black")
MIN_VIEWS = 2
VIEW_KEYS = ("images", "masks", "intrinsics", "world_from_camera")
HELD_OUT = tuple(f"test_{key}" for key in VIEW_KEYS)
# Views held out in each split; methods are tuned on `val` and compared on `test`.
HELD_OUT_VIEWS = {"train": "val", "val": "val", "test": "test"}


class SceneSplit:
    """Named scenes, read lazily."""

    def __init__(self, names: Sequence[str], read: Callable[[str], Sample]) -> None:
        self._names, self._read = list(names), read

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def name(self, index: int) -> str:
        """Return the name of a scene."""
        return self._names[index]

    def __getitem__(self, index: int) -> Sample:
        """Read scene `index`."""
        return self._read(self._names[index])


def scene_sample(
    given: Sequence[Frame], held_out: Sequence[Frame], background: str, factor: int = 1, masked: bool = True
) -> Sample:
    """Read the views of one scene: the keys VIEW_KEYS and HELD_OUT, and `background` unless the images keep their own.

    background: one of BACKGROUNDS; images with alpha or masks are composited over white or black in float, at full size.
    factor: images are then downscaled by this factor, by averaging. masked: whether the scene has masks; if not, the mask keys
    are omitted. Raises UserError for fewer than two views, for images of different sizes, and for missing alpha.
    """
    if len(given) < MIN_VIEWS:
        place = given[0].image.parent if given else "the scene"
        raise UserError(f"{place}: {len(given)} views given; reconstructing a scene needs at least {MIN_VIEWS}")
    if masked and background != "own":
        check_alpha([*given, *held_out], background)
    color = BACKGROUNDS[background] if masked else None
    sample: Sample = _views(given, color, factor, masked)
    if held_out:
        sample |= {f"test_{key}": value for key, value in _views(held_out, color, factor, masked).items()}
    return sample if color is None else sample | {"background": np.array(color, np.float32)}


def evenly_chosen(frames: list[Frame], count: int) -> list[Frame]:
    """Return `count` evenly spaced frames; all frames for 0."""
    if count == 0 or count >= len(frames):
        return frames
    return [frames[index * len(frames) // count] for index in range(count)]


def every_nth_held_out(frames: Sequence[Frame], every: int, first: int = 0) -> tuple[list[Frame], list[Frame]]:
    """Split frames into given and held-out ones, both in their order.

    Frames `first`, `first + every`, ... are held out; LLFF and mip-NeRF 360 use 0 and 8.
    """
    held_out = range(first, len(frames), every)
    return [frame for index, frame in enumerate(frames) if index not in held_out], [frames[index] for index in held_out]


def _views(
    frames: Sequence[Frame], color: tuple[float, float, float] | None, factor: int, masked: bool
) -> dict[str, NDArray[Any]]:
    views = read_views(frames, masked)
    if color is not None:
        masks = views["masks"][:, None]
        views["images"] = views["images"] * masks + (1 - masks) * np.array(color, np.float32)[:, None, None]
    if factor == 1:
        return views
    height, width = views["images"].shape[2:]
    if height % factor or width % factor:
        raise UserError(f"{frames[0].image}: {width} x {height} pixels cannot be divided by dataset.factor={factor}")
    for key in ("images", "masks") if masked else ("images",):
        blocks = views[key].reshape(*views[key].shape[:-2], height // factor, factor, width // factor, factor)
        views[key] = blocks.mean((-3, -1), dtype=np.float32)
    views["intrinsics"] = np.stack([scale_intrinsics(k, 1 / factor, 1 / factor).numpy() for k in views["intrinsics"]])
    return views

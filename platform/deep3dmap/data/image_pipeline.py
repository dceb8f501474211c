"""Configurable image transforms: mmcv.transforms plus `ColorJitter`. mmcv and OpenCV are imported when a pipeline is built."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError, nearest
from deep3dmap.data.generation import item_seed


class ImagePipeline:
    """A list of transforms, each given as {type: NAME, ...arguments}; NAME is a class of mmcv.transforms or `ColorJitter`.

    ColorJitter(brightness, contrast, saturation, hue): factors drawn from [1 - a, 1 + a], and a hue rotation from [-h, h] of a
    full turn. Input and output are (3, H, W) float32 RGB images in [0, 1]; transforms get (H, W, 3), as mmcv expects.
    Raises UserError for an unknown transform or invalid arguments, and if OpenCV's libGL is missing.
    """

    def __init__(self, steps: Sequence[Mapping[str, Any]], seed: int = 0) -> None:
        transforms = _mmcv_transforms()
        self._steps = [_build(transforms, dict(step), place) for place, step in enumerate(steps)]
        self._seed = seed

    def __call__(self, image: NDArray[np.float32], index: int = 0) -> NDArray[np.float32]:
        """Transform one image; the result depends only on the image, the seed and `index`."""
        pixels = np.ascontiguousarray(image.transpose(1, 2, 0))
        results: dict[str, Any] = {"img": pixels, "img_shape": pixels.shape[:2], "ori_shape": pixels.shape[:2]}
        with _temporary_seed(item_seed("image_pipeline", self._seed, index)):
            for step in self._steps:
                results = step(results)
        return np.ascontiguousarray(np.asarray(results["img"], np.float32).transpose(2, 0, 1))


class ColorJitter:
    """Randomly change brightness, contrast, saturation and hue of `results["img"]`, in this order."""

    def __init__(self, brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2, hue: float = 0.02) -> None:
        if min(brightness, contrast, saturation, hue) < 0:
            raise ValueError("the strengths must be at least 0")
        self._strengths, self._hue = (brightness, contrast, saturation), hue

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return `results` with the transformed image."""
        brightness, contrast, saturation = (np.float32(np.random.uniform(1 - s, 1 + s)) for s in self._strengths)
        image = results["img"] * brightness
        image = image.mean() + contrast * (image - image.mean())
        gray = image @ np.array([0.299, 0.587, 0.114], np.float32)
        image = gray[..., None] + saturation * (image - gray[..., None])
        image = image @ _hue_rotation(np.random.uniform(-self._hue, self._hue)).T
        return {**results, "img": np.clip(image, 0, 1).astype(np.float32)}


def _hue_rotation(turn: float) -> NDArray[np.float32]:
    """Return the (3, 3) rotation of RGB about the grey axis by `turn` of a full turn (Rodrigues)."""
    axis, angle = np.full(3, 3**-0.5), 2 * np.pi * turn
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return (np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross).astype(np.float32)


def _mmcv_transforms() -> ModuleType:
    try:
        import mmcv.transforms
    except ImportError as error:
        if "libGL" in str(error):
            raise UserError("OpenCV needs the system library libGL.so.1; install the Debian package libgl1") from error
        raise UserError(f"the image pipeline needs mmcv, which does not import ({error}); pip install mmcv-lite") from error
    return mmcv.transforms


def _build(transforms: ModuleType, step: dict[str, Any], place: int) -> Any:
    name = step.pop("type", None)
    if not isinstance(name, str):
        raise UserError(f"dataset.pipeline[{place}]: expected a transform {{type: NAME, ...}}, got {step}")
    known = {key: getattr(transforms, key) for key in transforms.__all__} | {"ColorJitter": ColorJitter}
    if name not in known:
        raise UserError(f"dataset.pipeline[{place}]: unknown transform '{name}'{nearest(name, known)}")
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in step.items()}
    try:
        return known[name](**arguments)
    except (TypeError, ValueError, AssertionError, KeyError) as error:
        raise UserError(f"dataset.pipeline[{place}]: {name} does not accept {arguments}: {error}") from error


@contextmanager
def _temporary_seed(seed: int) -> Iterator[None]:
    # mmcv uses the global generators, whose state is restored afterwards.
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)

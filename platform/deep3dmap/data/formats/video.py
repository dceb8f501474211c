"""Reader of video frames with OpenCV or imageio, whichever is installed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".gif")


class Video:
    """The frames of a file as (3, H, W) float32 RGB in [0, 1].

    Only every `every`-th frame is included. Frames are decoded sequentially: reading forward is fast, while going back
    restarts decoding. Raises UserError naming the file if it is missing, damaged or has no frames, and if no package can
    decode it.
    """

    def __init__(self, file: Path, every: int = 1) -> None:
        if not file.is_file():
            raise UserError(f"{file}: no such video")
        self._file, self._every = file, every
        self._frames: Iterator[NDArray[np.uint8]] = iter(())
        self._next = 0
        self._length = -(-sum(1 for _ in _decode(file)) // every)
        if self._length == 0:
            raise UserError(f"{file}: no frame of this video can be decoded; is it complete?")

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """Return frame `index` of the included frames."""
        if not 0 <= index < self._length:
            raise IndexError(f"frame {index} of {self._length}")
        wanted = index * self._every
        if self._next == 0 or wanted < self._next:
            self._frames, self._next = _decode(self._file), 0
        for pixels in self._frames:
            self._next += 1
            if self._next > wanted:
                return np.multiply(pixels.transpose(2, 0, 1), np.float32(1 / 255), dtype=np.float32, order="C")
        raise UserError(f"{self._file}: ends before frame {wanted}; did the file change?")


def _decode(file: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield (H, W, 3) RGB frames."""
    decoders: list[Callable[[Path], Iterator[NDArray[np.uint8]]]] = [_with_opencv, _with_imageio]
    missing = []
    for decoder in decoders[:: -1 if file.suffix.lower() == ".gif" else 1]:
        try:
            yield from decoder(file)
            return
        except ImportError as error:
            missing.append(str(error))
    raise UserError(f"{file}: reading videos needs opencv-python-headless or imageio ({'; '.join(missing)})")


def _with_opencv(file: Path) -> Iterator[NDArray[np.uint8]]:
    import cv2

    capture = cv2.VideoCapture(str(file))
    try:
        while True:
            read, pixels = capture.read()
            if not read:
                return
            yield np.ascontiguousarray(pixels[..., ::-1])
    finally:
        capture.release()


def _with_imageio(file: Path) -> Iterator[NDArray[np.uint8]]:
    import imageio.v3

    try:
        for pixels in imageio.v3.imiter(file):
            yield np.ascontiguousarray(pixels[..., :3] if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2))
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{file}: this video cannot be decoded ({str(error).partition(chr(10))[0]})") from error

"""Reading and writing single images with Pillow. A damaged file raises a UserError that names it."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import reading

MAX_PIXELS = 1 << 26
REMEDY = "restore the file or drop the frame"
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm")

_RUN_LENGTHS = 3  # zlib's Z_RLE


def read_image(file: Path) -> NDArray[np.float32]:
    """Return an image as (3, H, W) float32 RGB in [0, 1]; grey is repeated over three channels, alpha is dropped."""
    pixels = _pixels(file, None)
    if pixels.ndim == 2 and pixels.dtype.itemsize > 1 and pixels.dtype.kind in "ui":
        return np.repeat(pixels[None].astype(np.float32) / np.float32(65535), 3, 0)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        pixels = _pixels(file, "RGB")
    return np.multiply(pixels.transpose(2, 0, 1), np.float32(1 / 255), dtype=np.float32, order="C")


def read_gray16(file: Path) -> NDArray[np.int32]:
    """Return an 8- or 16-bit single-channel image as (H, W) int32; raises UserError for any other kind of image."""
    pixels = _pixels(file, None)
    if pixels.ndim != 2 or pixels.dtype.kind not in "ui":
        raise UserError(f"{file}: expected one channel of integers, got {pixels.shape} {pixels.dtype}")
    return pixels.astype(np.int32)


def image_size(file: Path) -> tuple[int, int]:
    """Return (height, width) from the header of an image file."""
    from PIL import Image

    with reading(file, "image", REMEDY), Image.open(file) as image:
        check_image_size(file, image)
        return image.height, image.width


def check_image_size(file: Path, image: Any) -> None:
    """Raise UserError if an image opened by Pillow has implausibly many pixels, before any of them is decoded."""
    if image.height * image.width > MAX_PIXELS:
        raise UserError(f"{file}: {image.width}x{image.height} pixels are beyond any photograph; {REMEDY}, or scale it down")


def write_image(file: Path, image: NDArray[np.float32]) -> None:
    """Write a (3, H, W) RGB or (4, H, W) RGBA float image in [0, 1] as an 8-bit file; the suffix sets the format."""
    _write(file, np.round(np.clip(image, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def write_gray16(file: Path, values: NDArray[np.integer[Any]]) -> None:
    """Write (H, W) integers in 0..65535 as a 16-bit PNG."""
    _write(file, values.astype(np.uint16))


def write_millimetres(file: Path, depth: NDArray[np.float32]) -> None:
    """Write depth (H, W) in metres as a 16-bit PNG in millimetres, clipped at 65.534 m."""
    write_gray16(file, np.clip(np.round(depth * 1000.0), 0, 65534).astype(np.uint16))


def _pixels(file: Path, mode: str | None) -> NDArray[Any]:
    from PIL import Image

    with reading(file, "image", REMEDY), Image.open(file) as image:
        check_image_size(file, image)
        return np.asarray(image.convert(mode) if mode else image)


def _write(file: Path, pixels: NDArray[Any]) -> None:
    from PIL import Image

    # Pillow's error for a full disk has no errno, so encode into memory and let the file write raise it.
    encoded = io.BytesIO()
    # For noisy images, run-length encoding is as compact as zlib's default strategy, in half the time.
    options: dict[str, Any] = {"compress_level": 3, "compress_type": _RUN_LENGTHS} if file.suffix == ".png" else {"quality": 92}
    Image.fromarray(np.ascontiguousarray(pixels)).save(encoded, Image.registered_extensions()[file.suffix.lower()], **options)
    file.write_bytes(encoded.getvalue())

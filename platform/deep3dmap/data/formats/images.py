"""Reading and writing single images, with Pillow but for writing PNG. A damaged file is a UserError that names it."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import reading

MOST_PIXELS = 1 << 26
MEND = "restore the file or drop the frame"
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm")

_LEFT = 1  # PNG's filter that takes the difference to the left
_COLOR_TYPES = {(): 0, (3,): 2, (4,): 6}  # grey, RGB, RGBA


def read_image(file: Path) -> NDArray[np.float32]:
    """Return an image as (3, H, W) float32 RGB in [0, 1]; grey images get three equal channels, an alpha channel is dropped."""
    pixels = _pixels(file, None)
    if pixels.ndim == 2 and pixels.dtype.itemsize > 1 and pixels.dtype.kind in "ui":
        return np.repeat(pixels[None].astype(np.float32) / np.float32(65535), 3, 0)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        pixels = _pixels(file, "RGB")
    return np.multiply(pixels.transpose(2, 0, 1), np.float32(1 / 255), dtype=np.float32, order="C")


def read_gray16(file: Path) -> NDArray[np.int32]:
    """Return a one-channel image of integers, 8 or 16 bit, as (H, W) int32; raises UserError for any other kind of image."""
    pixels = _pixels(file, None)
    if pixels.ndim != 2 or pixels.dtype.kind not in "ui":
        raise UserError(f"{file}: expected one channel of whole numbers, got {pixels.shape} {pixels.dtype}")
    return pixels.astype(np.int32)


def image_size(file: Path) -> tuple[int, int]:
    """Return (height, width) from the header of an image file."""
    from PIL import Image

    with reading(file, "image", MEND), Image.open(file) as image:
        check_image_size(file, image)
        return image.height, image.width


def check_image_size(file: Path, image: Any) -> None:
    """Raise UserError if an image that Pillow opened has more pixels than any camera takes; nothing of them is read yet."""
    if image.height * image.width > MOST_PIXELS:
        raise UserError(f"{file}: {image.width}x{image.height} pixels are beyond any photograph; {MEND}, or scale it down")


def write_image(file: Path, image: NDArray[np.float32]) -> None:
    """Write a (3, H, W) RGB or (4, H, W) RGBA float image in [0, 1] as an 8-bit file; the suffix chooses the format."""
    _write(file, np.round(np.clip(image, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def write_gray16(file: Path, values: NDArray[np.integer[Any]]) -> None:
    """Write (H, W) whole numbers in 0..65535 as a 16-bit PNG."""
    _write(file, values.astype(np.uint16))


def _pixels(file: Path, mode: str | None) -> NDArray[Any]:
    from PIL import Image

    with reading(file, "image", MEND), Image.open(file) as image:
        check_image_size(file, image)
        return np.asarray(image.convert(mode) if mode else image)


def _write(file: Path, pixels: NDArray[Any]) -> None:
    if file.suffix.lower() == ".png":
        file.write_bytes(_png(pixels))
        return
    from PIL import Image

    # Pillow's own error for a full disk has no errno, so it encodes into memory and the file system reports for itself.
    encoded = io.BytesIO()
    kind = Image.registered_extensions()[file.suffix.lower()]
    Image.fromarray(np.ascontiguousarray(pixels)).save(encoded, kind, quality=92)
    file.write_bytes(encoded.getvalue())


def _png(pixels: NDArray[Any]) -> bytes:
    """Return a PNG file of (H, W, 3) or (H, W, 4) uint8 or (H, W) uint16 pixels, in half of Pillow's time.

    Each pixel is written as what it has more than the one to its left, in run lengths: Pillow tries five ways for every row.
    """
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    step = rows.shape[1] // width
    lines = np.empty((height, 1 + rows.shape[1]), np.uint8)
    lines[:, 0], lines[:, 1 : 1 + step] = _LEFT, rows[:, :step]
    np.subtract(rows[:, step:], rows[:, :-step], out=lines[:, 1 + step :])
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    head = struct.pack(">IIBBBBB", width, height, 8 * pixels.dtype.itemsize, _COLOR_TYPES[pixels.shape[2:]], 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", packer.compress(lines.data) + packer.flush()), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, parts))


def _chunk(part: tuple[bytes, bytes]) -> bytes:
    name, data = part
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))

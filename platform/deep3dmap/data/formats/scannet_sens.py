"""ScanNet's `.sens` files (Dai et al., CVPR 2017; format version 4), and their export to one file per frame.

Little-endian: version, name; 4x4 float32 intrinsics and extrinsics of colour and depth; compression types; sizes; depth units
per metre; number of frames. Then per frame: 4x4 camera-to-world, two timestamps, two lengths, encoded colour, encoded depth.
"""

import shutil
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.data.cache import build_folder
from deep3dmap.data.formats.images import write_gray16

VERSION = 4
COLOR_SUFFIXES = {1: "png", 2: "jpg"}
RAW_DEPTH, ZLIB_DEPTH = 0, 1
MATRICES = ("intrinsic_color", "extrinsic_color", "intrinsic_depth", "extrinsic_depth")
MAX_NAME_LENGTH = 1 << 16
MAX_PIXELS = 1 << 24
FRAME_BYTES = 64 + 4 * 8  # pose, times, lengths


@dataclass(frozen=True)
class SensHeader:
    """Header of a `.sens` file. depth_size: (H, W). per_metre: depth units per metre."""

    matrices: dict[str, NDArray[np.float32]]
    color_suffix: str
    depth_compression: int
    depth_size: tuple[int, int]
    per_metre: float
    frames: int


@dataclass(frozen=True)
class SensFrame:
    """One frame: encoded image, depth (H, W) uint16 in the header's unit, pose (4, 4), infinite if tracking was lost."""

    color: bytes
    depth: NDArray[np.uint16]
    world_from_camera: NDArray[np.float32]


def read_sens(file: Path) -> tuple[SensHeader, Iterator[SensFrame]]:
    """Read the header, and lazily the frames. Raises UserError naming the file if it is damaged or not supported."""
    with file.open("rb") as stream:
        header = _header(file, stream)
        return header, _frames(file, stream.tell(), header)


def export_sens(file: Path, folder: Path) -> None:
    """Export a `.sens` file to color/, depth/, pose/ and intrinsic/ in `folder`, like ScanNet's official tool.

    `intrinsic` is created last and atomically, so an interrupted export is not a valid scan and is redone; if it exists,
    nothing is done. Raises UserError naming a damaged file, or if the disk is full.
    """
    build_folder(folder / "intrinsic", lambda place: _write(file, folder, place))


def _write(file: Path, folder: Path, intrinsic: Path) -> None:
    header, frames = read_sens(file)
    for part in ("color", "depth", "pose"):
        shutil.rmtree(folder / part, ignore_errors=True)
        (folder / part).mkdir()
    for number, frame in enumerate(frames):
        (folder / "color" / f"{number}.{header.color_suffix}").write_bytes(frame.color)
        millimetres = np.clip(np.round(frame.depth * (1000 / header.per_metre)), 0, 65535)
        write_gray16(folder / "depth" / f"{number}.png", millimetres.astype(np.uint16))
        np.savetxt(folder / "pose" / f"{number}.txt", frame.world_from_camera, fmt="%.9g")
    for name, matrix in header.matrices.items():
        np.savetxt(intrinsic / f"{name}.txt", matrix, fmt="%.9g")


def _header(file: Path, stream: BinaryIO) -> SensHeader:
    version, length = _unpack(file, stream, "<IQ")
    if version != VERSION or length > MAX_NAME_LENGTH:
        raise UserError(f"{file}: not a .sens file of version {VERSION}; download it again")
    _read_exactly(file, stream, length)
    matrices = {name: _matrix(file, stream) for name in MATRICES}
    color, depth, _, _, width, height, per_metre, frames = _unpack(file, stream, "<iiIIIIfQ")
    if color not in COLOR_SUFFIXES or depth not in (RAW_DEPTH, ZLIB_DEPTH):
        raise UserError(
            f"{file}: colour compression {color} or depth compression {depth} is not supported; use ScanNet's official tool"
        )
    if not (np.isfinite(list(matrices.values())).all() and 0 < per_metre < np.inf):
        raise UserError(f"{file}: its cameras or depth units are not finite, or its depth units not above 0; download it again")
    if not 0 < width * height <= MAX_PIXELS:
        raise UserError(f"{file}: depth maps of {width}x{height} pixels are beyond any sensor; download it again")
    if frames * FRAME_BYTES > file.stat().st_size:
        raise UserError(f"{file}: its header lists {frames} frames, but the file is too short for them; download it again")
    return SensHeader(matrices, COLOR_SUFFIXES[color], depth, (height, width), per_metre, frames)


def _frames(file: Path, start: int, header: SensHeader) -> Iterator[SensFrame]:
    with file.open("rb") as stream:
        stream.seek(start)
        for number in range(header.frames):
            pose = _matrix(file, stream)
            # Infinite poses are valid and mean that tracking was lost.
            if np.isnan(pose).any():
                raise UserError(f"{file}, frame {number}: its pose contains NaN; download it again")
            _, _, color_bytes, depth_bytes = _unpack(file, stream, "<QQQQ")
            color, depth = _read_exactly(file, stream, color_bytes), _read_exactly(file, stream, depth_bytes)
            yield SensFrame(color, _depth(f"{file}, frame {number}", depth, header), pose)


def _depth(where: str, encoded: bytes, header: SensHeader) -> NDArray[np.uint16]:
    size = 2 * header.depth_size[0] * header.depth_size[1]
    try:
        # Decompress at most one byte more than expected, which detects excess data without unbounded memory.
        raw = zlib.decompressobj().decompress(encoded, size + 1) if header.depth_compression == ZLIB_DEPTH else encoded
        return np.frombuffer(raw, "<u2").reshape(header.depth_size)
    except (zlib.error, ValueError) as error:
        raise UserError(f"{where}: damaged depth ({error}); download the file again") from error


def _matrix(file: Path, stream: BinaryIO) -> NDArray[np.float32]:
    return np.frombuffer(_read_exactly(file, stream, 64), "<f4").reshape(4, 4)


def _unpack(file: Path, stream: BinaryIO, form: str) -> tuple[Any, ...]:
    return struct.unpack(form, _read_exactly(file, stream, struct.calcsize(form)))


def _read_exactly(file: Path, stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count) if count <= file.stat().st_size else b""
    if len(data) != count:
        raise UserError(f"{file}: the file ends early; download it again")
    return data

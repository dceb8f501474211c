"""Binary COLMAP models: little-endian records after a 64-bit count."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.colmap_records import MODELS, CameraRecord, ImageRecord

_NAMES = {number: name for name, (number, _) in MODELS.items()}


class _Records:
    """Reads values sequentially; raises UserError naming the file if it is truncated."""

    def __init__(self, file: Path) -> None:
        self._file, self._at = file, 0
        try:
            self._bytes = file.read_bytes()
        except OSError as error:
            raise UserError(f"{file}: not readable ({error})") from error

    def take(self, form: str) -> tuple[Any, ...]:
        self.need(struct.calcsize(f"<{form}"))
        values = struct.unpack_from(f"<{form}", self._bytes, self._at)
        self._at += struct.calcsize(f"<{form}")
        return values

    def name(self) -> str:
        end = self._bytes.find(b"\0", self._at)
        if end < 0:
            self.need(len(self._bytes))
        name, self._at = self._bytes[self._at : end].decode("utf-8", "replace"), end + 1
        return name

    def skip(self, size: int) -> None:
        self.need(size)
        self._at += size

    def need(self, size: int) -> None:
        if self._at + size > len(self._bytes):
            raise UserError(f"{self._file}: ends in the middle of a record; the file is damaged or not COLMAP's")


def read_cameras(folder: Path) -> dict[int, CameraRecord]:
    """Read cameras.bin."""
    records, cameras = _Records(folder / "cameras.bin"), {}
    for _ in range(records.take("Q")[0]):
        number, model, width, height = records.take("iiQQ")
        if model not in _NAMES:
            raise UserError(
                f"{folder / 'cameras.bin'}: camera model number {model} is not supported, only {', '.join(MODELS)}; run "
                "`colmap image_undistorter` and use its output folder"
            )
        name = _NAMES[model]
        cameras[number] = CameraRecord(name, width, height, records.take(f"{MODELS[name][1]}d"))
    return cameras


def read_images(folder: Path) -> list[ImageRecord]:
    """Read images.bin without the keypoints."""
    records, images = _Records(folder / "images.bin"), []
    for _ in range(records.take("Q")[0]):
        values = records.take("i7di")
        name = records.name()
        records.skip(24 * records.take("Q")[0])
        images.append(ImageRecord(values[1:5], values[5:8], values[8], name))
    return images


def read_points(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Read points3D.bin without the tracks: points (P, 3) and colours (P, 3) in [0, 1]."""
    records, rows = _Records(folder / "points3D.bin"), []
    for _ in range(records.take("Q")[0]):
        rows.append(records.take("Q3d3Bd")[1:7])
        records.skip(8 * records.take("Q")[0])
    values = np.array(rows, np.float64).reshape(-1, 6)
    return values[:, :3], (values[:, 3:] / 255).astype(np.float32)


def write_model(
    folder: Path,
    cameras: Mapping[int, CameraRecord],
    images: Sequence[ImageRecord],
    points: NDArray[np.float64],
    colors: NDArray[np.uint8],
) -> None:
    """Write the three files, without keypoints and tracks."""
    pinholes = [struct.pack("<iiQQ", number, MODELS[one.model][0], one.width, one.height) + _doubles(one.parameters)
              for number, one in cameras.items()]  # fmt: skip
    registered = [
        struct.pack("<i7di", number, *one.quaternion, *one.translation, one.camera) + one.name.encode() + b"\0" + bytes(8)
        for number, one in enumerate(images, 1)
    ]
    placed = [
        struct.pack("<Q3d3BdQ", number, *point, *map(int, color), 0.0, 0)
        for number, (point, color) in enumerate(zip(points.tolist(), colors), 1)
    ]
    for name, records in (("cameras", pinholes), ("images", registered), ("points3D", placed)):
        (folder / f"{name}.bin").write_bytes(struct.pack("<Q", len(records)) + b"".join(records))


def _doubles(values: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)

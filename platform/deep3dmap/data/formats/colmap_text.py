"""COLMAP models as text: cameras.txt, images.txt (two lines per image), points3D.txt."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.colmap_records import MODELS, CameraRecord, ImageRecord


def read_cameras(folder: Path) -> dict[int, CameraRecord]:
    """Read cameras.txt."""
    file, cameras = folder / "cameras.txt", {}
    for number, words in _lines(file):
        if len(words) < 5 or words[1] not in MODELS:
            raise UserError(
                f"{file}, line {number}: expected ID MODEL WIDTH HEIGHT PARAMETERS with a model of {', '.join(MODELS)}; run "
                "`colmap image_undistorter` for other models"
            )
        values = _numbers(file, number, [words[0], *words[2:]], 3 + MODELS[words[1]][1])
        cameras[int(values[0])] = CameraRecord(words[1], int(values[1]), int(values[2]), tuple(values[3:]))
    return cameras


def read_images(folder: Path) -> list[ImageRecord]:
    """Read images.txt without the keypoints."""
    file, images = folder / "images.txt", []
    for number, words in list(_lines(file, blank=True))[::2]:
        if not words:  # blank lines at the end
            continue
        if len(words) < 10:
            raise UserError(f"{file}, line {number}: expected ID QW QX QY QZ TX TY TZ CAMERA NAME")
        values = _numbers(file, number, words[:9], 9)
        images.append(ImageRecord(tuple(values[1:5]), tuple(values[5:8]), int(values[8]), " ".join(words[9:])))
    return images


def read_points(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Read points3D.txt without the tracks: points (P, 3) and colours (P, 3) in [0, 1]."""
    file = folder / "points3D.txt"
    rows = [_numbers(file, number, words[1:7], 6) for number, words in _lines(file)]
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
    pinholes = [f"{number} {one.model} {one.width} {one.height} {_words(one.parameters)}" for number, one in cameras.items()]
    registered = [
        f"{number} {_words(one.quaternion)} {_words(one.translation)} {one.camera} {one.name}\n"
        for number, one in enumerate(images, 1)
    ]
    placed = [
        f"{number} {_words(point)} {' '.join(map(str, color))} 0"
        for number, (point, color) in enumerate(zip(points.tolist(), colors.tolist()), 1)
    ]
    for name, lines in (("cameras", pinholes), ("images", registered), ("points3D", placed)):
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))


def _lines(file: Path, blank: bool = False) -> Iterator[tuple[int, list[str]]]:
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not a readable text file ({error})") from error
    for number, line in enumerate(lines, 1):
        if not line.startswith("#") and (blank or line.strip()):
            yield number, line.split()


def _numbers(file: Path, line: int, words: Sequence[str], count: int) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise UserError(f"{file}, line {line}: expected numbers ({error})") from error
    if len(values) != count or not np.isfinite(values).all():
        raise UserError(f"{file}, line {line}: expected {count} finite numbers, got {len(values)} values")
    return values


def _words(values: Sequence[float]) -> str:
    return " ".join(repr(float(value)) for value in values)

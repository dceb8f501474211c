"""Images with depth maps, in the layout of the synthetic faces of Wu et al. (CVPR 2020).

A split is a folder with image/ and depth/ that contain files of the same names, or with `image` replaced by `depth`.
Depth maps are grey, 8 or 16 bit: white is the nearest, black the farthest depth, also used for the background. The
procedural faces add mask/ with the object's coverage and truth.csv with the view and light of every image.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import reading
from deep3dmap.data.formats.images import SUFFIXES, read_image, write_gray16

NEAREST, FARTHEST = 0.9, 1.1
COLUMNS = ("rx", "ry", "rz", "tx", "ty", "tz", "ambient", "diffuse", "light_x", "light_y")
TRUTH = "truth.csv"


@dataclass(frozen=True)
class Pair:
    """An image and its depth map; mask: the object's coverage, if available."""

    name: str
    image: Path
    depth: Path
    mask: Path | None


def find_pairs(folder: Path) -> list[Pair]:
    """Return the pairs of a split, sorted by name. Raises UserError if there are none or an image has no depth map."""
    images = folder / "image"
    if not images.is_dir():
        raise UserError(f"{folder}: no folder image/ in it; a split contains image/ and depth/")
    files = sorted(file for file in images.rglob("*") if file.suffix.lower() in SUFFIXES and not file.name.startswith("."))
    if not files:
        raise UserError(f"{images}: no images in it; supported formats are {', '.join(SUFFIXES)}")
    return [_pair(folder, file.relative_to(images)) for file in files]


def _pair(folder: Path, name: Path) -> Pair:
    twins = [name, name.with_name(name.name.replace("image", "depth"))]
    depth = next((folder / "depth" / twin for twin in twins if (folder / "depth" / twin).is_file()), None)
    if depth is None:
        raise UserError(f"{folder / 'depth' / name}: no depth map for the image {folder / 'image' / name}")
    mask = folder / "mask" / name
    return Pair("_".join(name.with_suffix("").parts), folder / "image" / name, depth, mask if mask.is_file() else None)


def read_depth(file: Path, nearest: float = NEAREST, farthest: float = FARTHEST) -> NDArray[np.float32]:
    """Return a depth map (H, W), with `farthest` for black pixels."""
    return depth_of_grey(read_image(file)[0], nearest, farthest)


def depth_of_grey(grey: NDArray[np.float32], nearest: float = NEAREST, farthest: float = FARTHEST) -> NDArray[np.float32]:
    """Convert grey values in [0, 1] to depth."""
    return (farthest - grey * (farthest - nearest)).astype(np.float32)


def write_depth(file: Path, depth: NDArray[np.float32], nearest: float = NEAREST, farthest: float = FARTHEST) -> None:
    """Write a depth map (H, W) as 16-bit PNG. Raises UserError for depth outside the range."""
    if depth.min() < nearest or depth.max() > farthest:
        raise UserError(f"{file}: depth {depth.min():.3f} to {depth.max():.3f} is outside {nearest} to {farthest}")
    write_gray16(file, np.round((farthest - depth.astype(np.float64)) / (farthest - nearest) * 65535).astype(np.int64))


def write_truth(folder: Path, truth: dict[str, NDArray[np.float64]]) -> None:
    """Write the view and light (10,) of every image of a split, with the columns COLUMNS."""
    with (folder / TRUTH).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("name", *COLUMNS))
        writer.writerows((name, *(repr(float(value)) for value in values)) for name, values in truth.items())


def read_truth(folder: Path) -> dict[str, NDArray[np.float32]] | None:
    """Return the view and light (10,) of every image, None if the split has no such file.

    Raises UserError for a file with other columns or invalid numbers.
    """
    file = folder / TRUTH
    if not file.is_file():
        return None
    with reading(file, "CSV file"), file.open(newline="") as stream:
        rows = list(csv.reader(stream))
    if not rows or rows[0] != ["name", *COLUMNS]:
        raise UserError(f"{file}: the columns must be name, {', '.join(COLUMNS)}")
    with reading(file, f"table of names and {len(COLUMNS)} numbers"):
        truth = {row[0]: np.array(row[1:], np.float64).astype(np.float32).reshape(len(COLUMNS)) for row in rows[1:]}
    for name, values in truth.items():
        if not np.isfinite(values).all():
            raise UserError(f"{file}: NaN or infinity in the row of '{name}'; drop the row or repair it")
    return truth

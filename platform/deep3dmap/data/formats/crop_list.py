"""Crop lists, which assign photographs to splits and define a crop for each."""

from pathlib import Path
from typing import NamedTuple

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import reading

SPLITS = {"0": "train", "1": "val", "2": "test", "train": "train", "val": "val", "test": "test"}


class Crop(NamedTuple):
    """A photograph and its crop: x0, y0, width, height in pixels, which may extend beyond the image."""

    file: Path
    box: tuple[int, int, int, int] | None


def read_crops(file: Path, root: Path) -> dict[str, list[Crop]]:
    """Read lines `file split x0 y0 width height`, separated by commas or spaces; splits are 0, 1, 2 or train, val, test.

    File names are relative to `root`. Raises UserError with the line number for a malformed line, an empty or non-square crop,
    and a missing photograph.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such file; dataset.crops must be a list of crops")
    with reading(file, "list of crops", "write it as text"):
        lines = file.read_text().splitlines()
    splits: dict[str, list[Crop]] = {"train": [], "val": [], "test": []}
    for number, line in enumerate(lines, 1):
        words = line.replace(",", " ").split()
        if not words or words[0].startswith("#"):
            continue
        split, crop = _parse(words, f"{file}:{number}", root)
        splits[split].append(crop)
    return splits


def _parse(words: list[str], place: str, root: Path) -> tuple[str, Crop]:
    if len(words) != 6 or words[1] not in SPLITS:
        raise UserError(f"{place}: expected `file split x0 y0 width height` with a split of 0, 1, 2, got '{' '.join(words)}'")
    try:
        x0, y0, width, height = (int(float(word)) for word in words[2:])
    except (ValueError, OverflowError):
        raise UserError(f"{place}: x0, y0, width and height must be numbers, got '{' '.join(words[2:])}'") from None
    if width < 1 or width != height:
        raise UserError(f"{place}: a crop must be square, got {width} x {height}")
    path = root / words[0]
    if not path.is_file():
        raise UserError(f"{place}: {path} does not exist")
    return SPLITS[words[1]], Crop(path, (x0, y0, width, height))

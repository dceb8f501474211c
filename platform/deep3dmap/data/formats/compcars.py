"""The files of CompCars: image/<make>/<model>/<year>/<name>.jpg, label/.../<name>.txt, and split lists."""

from pathlib import Path
from typing import NamedTuple

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import reading

VIEWPOINTS = {"uncertain": -1, "front": 1, "rear": 2, "side": 3, "front_side": 4, "rear_side": 5}


class Label(NamedTuple):
    """viewpoint: value of `VIEWPOINTS`. box: left, top, right, bottom of the car, 0-based, right and bottom exclusive."""

    viewpoint: int
    box: tuple[int, int, int, int]


def read_label(root: Path, name: str) -> Label:
    """Read the label of a photograph; `name` is its path below image/. Raises UserError if it is missing or damaged."""
    file = root / "label" / Path(name).with_suffix(".txt")
    try:
        lines = file.read_text().split("\n")
        left, top, right, bottom = (int(float(number)) for number in lines[2].split())
        viewpoint = int(lines[0])
    except FileNotFoundError as error:
        raise UserError(f"{file}: the label is missing; boxes and viewpoints need the folder label/ of the release") from error
    except (ValueError, IndexError, OverflowError) as error:
        raise UserError(f"{file}: expected lines with a viewpoint, the number of boxes, and a box 'x1 y1 x2 y2'") from error
    # The release uses 1-based, inclusive pixels.
    if not (0 < left <= right and 0 < top <= bottom):
        raise UserError(f"{file}: the box {left} {top} {right} {bottom} is empty or outside the image")
    return Label(viewpoint, (left - 1, top - 1, right, bottom))


def listed(root: Path, split: str) -> list[str] | None:
    """Return the names in the release's list of a split, None if the list is absent.

    Raises UserError if a listed photograph is missing.
    """
    file = root / "train_test_split" / "classification" / f"{split}.txt"
    if not file.is_file():
        return None
    with reading(file, "list of photographs"):
        names = file.read_text().split()
    missing = next((name for name in names if not (root / "image" / name).is_file()), None)
    if missing:
        raise UserError(f"{file}: lists {missing[:80]}, which is not below {root / 'image'}; restore the photographs")
    return names

"""Subject boxes of photographs: a given box, the central square, a table, landmark files or a face detector."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.data.face_detector import face_detector
from deep3dmap.data.formats.landmark_files import landmark_file, read_landmarks
from deep3dmap.data.formats.threehundred_w_lp import read_boxes
from deep3dmap.geometry.face_crop import INFERENCE_FACTOR, detector_box_of_square

Box = NDArray[np.float32]
BoxFinder = Callable[[str, NDArray[np.float32]], Box]


def subject_boxes(box: Sequence[float], source: str, tight: bool = False) -> BoxFinder:
    """Return a function from a photograph's name and (3, H, W) pixels to its box in the style of a face detector.

    box: left, top, right, bottom for every photograph, or empty. source: see ImageFolderConfig.boxes. tight: given boxes
    tightly enclose the landmarks, as in PRNet's demo. Raises UserError for an invalid `source`; the returned function raises
    it if a photograph has no box or does not overlap a given one.
    """
    if box:
        given = _parse_box(box, tight)
        return lambda name, image: _require_overlap(given, list(box), name, image)
    place = Path(source).expanduser()
    if source == "center":
        return lambda name, image: _central_square(image)
    if place.is_dir():
        return lambda name, image: box_of_landmarks(read_landmarks(landmark_file(place, name)))
    if place.suffix == ".csv":
        return _box_finder_from_table(place, tight)
    return _box_finder_from_detector(source)


def box_of_landmarks(landmarks: NDArray[np.floating]) -> Box:
    """Return the detector box that yields PRNet's crop around (68, 2 or 3) landmarks."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    return box_of_tight(np.concatenate([low, high]))


def box_of_tight(tight: NDArray[np.floating]) -> Box:
    """Return the detector box for a tight landmark box (left, top, right, bottom)."""
    side = INFERENCE_FACTOR * float((tight[2:] - tight[:2]).mean())
    left, top = (tight[:2] + tight[2:] - side) / 2
    return detector_box_of_square(float(left), float(top), side)


def _parse_box(box: Sequence[float], tight: bool) -> Box:
    try:
        given = np.array([float(value) for value in box], np.float32)
    except (TypeError, ValueError):
        given = np.zeros(0, np.float32)
    if given.shape != (4,):
        raise UserError(f"dataset.box must be [left, top, right, bottom] in pixels, got {list(box)}")
    if not np.isfinite(given).all() or not (given[2:] > given[:2]).all():
        raise UserError(f"dataset.box must be [left, top, right, bottom] with right > left and bottom > top, got {list(box)}")
    return box_of_tight(given) if tight else given


def _require_overlap(box: Box, configured: list[float], name: str, image: NDArray[np.float32]) -> Box:
    height, width = image.shape[1:]
    if (box[2:] <= 0).any() or box[0] >= width or box[1] >= height:
        raise UserError(f"{name}: dataset.box={configured} lies outside the photograph, which is {width} x {height} pixels")
    return box


def _box_finder_from_table(file: Path, tight: bool) -> BoxFinder:
    boxes = read_boxes(file)

    def find(name: str, image: NDArray[np.float32]) -> Box:
        if name not in boxes:
            raise UserError(f"{file}: no box for '{name}'")
        return box_of_tight(boxes[name]) if tight else boxes[name]

    return find


def _box_finder_from_detector(source: str) -> BoxFinder:
    detect = face_detector(source)

    def find(name: str, image: NDArray[np.float32]) -> Box:
        boxes = detect(image)
        if not len(boxes):
            raise UserError(
                f"{name}: no face found (face detector '{source}'); pass dataset.box=[left,top,right,bottom], "
                "dataset.boxes=FILE.csv or dataset.boxes=center"
            )
        largest: Box = boxes[0]
        return largest

    return find


def _central_square(image: NDArray[np.float32]) -> Box:
    height, width = image.shape[1:]
    half = min(height, width) / 4
    return np.array([width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half], np.float32)

"""300W-LP and AFLW2000-3D: a photograph `<name>.jpg` with a fitted morphable model in `<name>.mat` (MATLAB 5).

Fields: Pose_Para (1, 7) pitch, yaw, roll in radians, tx, ty, tz, scale; Shape_Para and Exp_Para (K, 1), any K, premultiplied
by the standard deviations; landmarks as pt3d_68 (3, 68) or pt2d (2, 68); roi (1, 4), the box in the original photograph.
Files use 1-based pixels, with centres at integers starting from 1: 0.5 is subtracted on reading to match the package's
convention (centres at +0.5), and added on writing. See Zhu et al., "Face Alignment Across Large Poses", CVPR 2016.
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import check_finite, reading
from deep3dmap.data.formats.foreign_file import read_matlab
from deep3dmap.geometry.face_pose import HeadPose

JPEG_QUALITY = 95
ONE_BASED_OFFSET = -0.5  # converts 1-based coordinates to ones with the first pixel's centre at 0.5
_TEXT_BYTES = 116
_TEXT = b"MATLAB 5.0 MAT-file, 300W-LP layout"


@dataclass(frozen=True)
class FittedFace:
    """A fitted face.

    pose: in fit coordinates, see `HeadPose`. shape: (Ki,), expression: (Ke,) parameters. landmarks: (68, 3) float32 pixels,
    centres at +0.5, y down, z larger = nearer with an arbitrary offset; z is zero if `has_depth` is False. texture: (Ka,) or
    empty. roi: (4,) left, top, right, bottom in the original photograph.
    """

    pose: HeadPose
    shape: NDArray[np.float64]
    expression: NDArray[np.float64]
    landmarks: NDArray[np.float32]
    has_depth: bool
    texture: NDArray[np.float64]
    roi: NDArray[np.int16]


def read_face(file: Path) -> FittedFace:
    """Read a `.mat`; raises UserError naming the file and the field that is missing or malformed."""
    fields = _load(file)
    landmarks, has_depth = _landmarks(fields, file)
    return FittedFace(
        pose=HeadPose.from_parameters(_numbers(fields, "Pose_Para", file, 7)),
        shape=_numbers(fields, "Shape_Para", file),
        expression=_numbers(fields, "Exp_Para", file),
        landmarks=landmarks,
        has_depth=has_depth,
        texture=_numbers(fields, "Tex_Para", file) if "Tex_Para" in fields else np.zeros(0),
        roi=_numbers(fields, "roi", file, 4).astype(np.int16) if "roi" in fields else np.zeros(4, np.int16),
    )


def write_face(file: Path, face: FittedFace) -> None:
    """Write a `.mat` with the field names and types of 300W-LP (pt2d) and AFLW2000 (pt3d_68).

    The output is deterministic: the timestamp in the header of the format is omitted.
    """
    import scipy.io

    points = face.landmarks.T - np.array([[ONE_BASED_OFFSET], [ONE_BASED_OFFSET], [0]])
    fields: dict[str, Any] = {
        "Pose_Para": face.pose.parameters(),
        "Shape_Para": face.shape.astype(np.float64)[:, None],
        "Exp_Para": face.expression.astype(np.float64)[:, None],
        "Tex_Para": face.texture.astype(np.float64)[:, None],
        "roi": face.roi.astype(np.int16)[None],
        "pt2d": points[:2].astype(np.float64),
    }
    if face.has_depth:
        fields["pt3d_68"] = points.astype(np.float32)
    stored = io.BytesIO()
    scipy.io.savemat(stored, fields)
    file.write_bytes(_TEXT.ljust(_TEXT_BYTES) + stored.getvalue()[_TEXT_BYTES:])


def write_photograph(file: Path, image: NDArray[np.float32]) -> None:
    """Write a (3, H, W) RGB image in [0, 1] as a JPEG of quality 95."""
    from PIL import Image

    pixels = np.round(image.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    encoded = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(encoded, "JPEG", quality=JPEG_QUALITY)
    file.write_bytes(encoded.getvalue())


def read_boxes(file: Path) -> dict[str, NDArray[np.float32]]:
    """Read a table of face boxes: rows of name, left, top, right, bottom in pixels with centres at +0.5.

    Raises UserError naming the file and the row.
    """
    with reading(file, "table of boxes"), file.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.reader(stream) if row]
    boxes = {}
    for number, row in enumerate(rows[1:] if rows and rows[0][0] == "name" else rows, 1):
        try:
            name, corners = row[0], np.array([float(value) for value in row[1:]], np.float32)
        except ValueError:
            corners = np.zeros(0, np.float32)
        if corners.shape != (4,) or not np.isfinite(corners).all() or not (corners[2:] > corners[:2]).all():
            raise UserError(f"{file}: row {number} is not name,left,top,right,bottom with right > left and bottom > top: {row}")
        boxes[name] = corners
    return boxes


def write_boxes(file: Path, boxes: dict[str, NDArray[Any]]) -> None:
    """Write a table in the format of `read_boxes`."""
    lines = ["name,left,top,right,bottom"]
    lines += [",".join([name, *(f"{value:.3f}" for value in box)]) for name, box in boxes.items()]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _load(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise UserError(f"{file}: not found; every photograph of 300W-LP needs a matching .mat")
    return read_matlab(file)


def _numbers(fields: dict[str, Any], name: str, file: Path, count: int | None = None) -> NDArray[np.float64]:
    if name not in fields:
        raise UserError(f"{file}: no field '{name}'; this is not a .mat of 300W-LP or AFLW2000-3D")
    try:
        values = np.asarray(fields[name], np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise UserError(f"{file}: field '{name}' does not hold numbers") from error
    if count not in (None, len(values)):
        raise UserError(f"{file}: field '{name}' must hold {count} numbers, got {len(values)}")
    if not np.isfinite(values).all():
        raise UserError(f"{file}: field '{name}' contains NaN or infinity; drop the sample")
    return values


def _landmarks(fields: dict[str, Any], file: Path) -> tuple[NDArray[np.float32], bool]:
    for name, rows in (("pt3d_68", 3), ("pt2d", 2)):
        if name in fields and np.shape(fields[name]) == (rows, 68):
            values = _numbers(fields, name, file).reshape(rows, 68).T
            points = np.zeros((68, 3), np.float32)
            with np.errstate(over="ignore"):
                points[:, :rows] = values
            points[:, :2] = values[:, :2] + ONE_BASED_OFFSET
            check_finite(file, {name: points})
            return points, rows == 3
    raise UserError(f"{file}: no 68 landmarks, neither a field 'pt3d_68' of 3x68 nor 'pt2d' of 2x68 numbers")

"""CMU Multi-PIE: file names, cameras and expressions, and the lists and fits written by face tools.

Names are <subject>_<session>_<recording>_<camera>_<light>.png, such as 001_01_02_051_07.png, in any folder structure; the
camera is written 051 or 05_1. R. Gross, I. Matthews, J. Cohn, T. Kanade, S. Baker, Image and Vision Computing 28(5), 2010.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.files import read_npz, reading
from deep3dmap.data.formats.scannet_tsdf import read_plain_pickle

# Thirteen cameras from one profile of the subject to the other, 15 degrees apart, and two mounted near the ceiling.
CAMERAS = (
    *("11_0", "12_0", "09_0", "08_0", "13_0", "14_0", "05_1", "05_0", "04_1", "19_0", "20_0", "01_0", "24_0"),
    *("08_1", "19_1"),
)
FRONTAL = "05_1"
LIGHTS = 20
SUBJECTS = 346  # the highest subject number; there are 337 subjects
_EXPRESSIONS = {
    1: ("neutral", "smile"),
    2: ("neutral", "surprise", "squint"),
    3: ("neutral", "smile", "disgust"),
    4: ("neutral", "neutral", "scream"),
}
EXPRESSIONS = ("neutral", "smile", "surprise", "squint", "disgust", "scream")
_NAME = re.compile(r"(\d{3})_(\d{2})_(\d{2})_(\d{2})_?(\d)_(\d{2})$")
FAILED = -1


class Photograph(NamedTuple):
    """A photograph as identified by its file name. camera: one of CAMERAS. light: 0..19."""

    subject: int
    session: int
    recording: int
    camera: str
    light: int

    @property
    def expression(self) -> str:
        """Name of the expression, determined by session and recording."""
        return _EXPRESSIONS[self.session][self.recording - 1]

    @property
    def name(self) -> str:
        """File name without suffix, as in the release."""
        return f"{self.take}_{self.camera.replace('_', '')}_{self.light:02d}"

    @property
    def take(self) -> str:
        """Subject, session and recording, shared by all cameras and lights at about the same moment."""
        return f"{self.subject:03d}_{self.session:02d}_{self.recording:02d}"


def parse_name(file: Path) -> Photograph:
    """Parse a file name; raises UserError if it is not a valid Multi-PIE name."""
    found = _NAME.match(file.stem)
    if not found:
        raise UserError(f"{file}: not a name of Multi-PIE (<subject>_<session>_<recording>_<camera>_<light>, 001_01_01_051_07)")
    subject, session, recording, rig, number, light = found.groups()
    photograph = Photograph(int(subject), int(session), int(recording), f"{rig}_{number}", int(light))
    if photograph.camera not in CAMERAS:
        raise UserError(f"{file}: {unknown('camera of Multi-PIE', photograph.camera, CAMERAS)}")
    if photograph.recording not in range(1, len(_EXPRESSIONS.get(photograph.session, ())) + 1):
        raise UserError(f"{file}: session {photograph.session} of Multi-PIE has no recording {photograph.recording}")
    if not 1 <= photograph.subject <= SUBJECTS or photograph.light >= LIGHTS:
        raise UserError(f"{file}: subjects are 1..{SUBJECTS} and lights 00..{LIGHTS - 1}")
    return photograph


def is_photograph_name(file: Path) -> bool:
    """Return whether a file name has the form of a Multi-PIE photograph."""
    return _NAME.match(file.stem) is not None


def find_photographs(root: Path) -> dict[Photograph, Path]:
    """Return all photographs below a folder; raises UserError for invalid names and duplicates."""
    return _index_photographs(
        file for suffix in ("png", "jpg") for file in root.rglob(f"*.{suffix}") if is_photograph_name(file)
    )


def read_list(file: Path, root: Path) -> dict[Photograph, Path]:
    """Read a list of photographs: .csv with a column `path`, or .json or .pkl with arbitrarily nested paths.

    A pickle may contain only containers, text, numbers and arrays; anything else is rejected without being loaded. Paths are
    relative to `root`; absolute paths from another machine are matched by their trailing parts.
    """
    paths = list(_csv_paths(file) if file.suffix == ".csv" else _iterate_strings(read_json_or_pickle(file)))
    return _index_photographs(_resolve_path(root, path, file) for path in paths)


MAX_COORDINATE = 1e9  # pixels


@dataclass(frozen=True)
class Fit:
    """A face model fitted to a photograph.

    landmarks: (68, 2) pixels, centres at +0.5, y down. affine: (2, 4), maps points (x, y, z, 1) of the fitted mesh to pixels.
    """

    landmarks: NDArray[np.float32]
    affine: NDArray[np.float64]


def read_fits(file: Path) -> dict[str, Mapping[str, Any]]:
    """Read fits {lm68: (68, 2), s, R: (3, 3), t: (2 or 3,)} by the stem of their photograph.

    .json or .pkl: {path: fit}, with -1 for failed fits, which are omitted. .npz: arrays names (N,), lm68 (N, 68, 2), s (N,),
    R (N, 3, 3), t (N, 3).
    """
    if file.suffix == ".npz":
        return _fits_of_arrays(file)
    found = read_json_or_pickle(file)
    if not isinstance(found, dict):
        raise UserError(f"{file}: expected a dictionary from paths to fits, got {type(found).__name__}")
    return {Path(str(path)).stem: fit for path, fit in found.items() if isinstance(fit, dict)}


def convert_fit(fits: Mapping[str, Mapping[str, Any]], photograph: str, height: int, source: Path) -> Fit:
    """Convert a stored fit to pixels with y down; raises UserError naming the fit and the invalid field.

    Stored fits are s R x + t in 0-based pixels with y up, so that y becomes `height` minus the stored value.
    """
    where = f"{source}, fit of {photograph}"
    if photograph not in fits:
        raise UserError(f"{where}: not found")
    fit = fits[photograph]
    landmarks = _numbers(fit, "lm68", (68, 2), where)
    rotation, scale = _numbers(fit, "R", (3, 3), where), _numbers(fit, "s", (), where)
    shift = np.asarray(fit.get("t"), np.float64).ravel()[:2]
    if shift.shape != (2,) or not np.isfinite(shift).all():
        raise UserError(f"{where}: t must be two or three numbers")
    affine = np.concatenate([scale * rotation[:2], shift[:, None]], 1)
    affine[1] = -affine[1] + (0, 0, 0, height)
    affine[:, 3] += 0.5
    if max(np.abs(landmarks).max(), np.abs(affine).max()) > MAX_COORDINATE:
        raise UserError(f"{where}: lm68, R, s and t give positions beyond {MAX_COORDINATE:.0g} pixels; fit it again")
    return Fit((landmarks + 0.5).astype(np.float32), affine)


def read_json_or_pickle(file: Path) -> Any:
    """Read .json, or .pkl without executing any code in it; raises UserError naming the file."""
    if file.suffix in (".pkl", ".pickle"):
        return read_plain_pickle(file)
    with reading(file, "JSON file"):
        return json.loads(file.read_text(encoding="utf-8"))


def _fits_of_arrays(file: Path) -> dict[str, Mapping[str, Any]]:
    # Failed fits contain NaN, which `convert_fit` reports when they are requested.
    arrays = read_npz(file, "table of fits", ("names", "lm68", "s", "R", "t"), finite=False)
    if len({np.atleast_1d(array).shape[0] for array in arrays.values()}) > 1 or arrays["names"].ndim != 1:
        raise UserError(f"{file}: the arrays differ in length")
    fields = ("lm68", "s", "R", "t")
    return {Path(str(name)).stem: {field: arrays[field][row] for field in fields} for row, name in enumerate(arrays["names"])}


def _numbers(fit: Mapping[str, Any], field: str, shape: tuple[int, ...], where: str) -> NDArray[np.float64]:
    try:
        values = np.asarray(fit[field], np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where}: '{field}' is missing or not numbers") from error
    values = values.reshape(shape) if values.size == int(np.prod(shape)) else values
    if values.shape != shape or not np.isfinite(values).all():
        raise UserError(f"{where}: '{field}' must be {shape} finite numbers, got {values.shape}")
    return values


def _index_photographs(files: Iterator[Path]) -> dict[Photograph, Path]:
    found: dict[Photograph, Path] = {}
    for file in files:
        photograph = parse_name(file)
        if found.setdefault(photograph, file) != file:
            raise UserError(f"{file}: the same photograph as {found[photograph]}; set dataset.names=FILE or remove one")
    return dict(sorted(found.items()))


def _csv_paths(file: Path) -> Iterator[str]:
    with reading(file, "list"), file.open(newline="", encoding="utf-8") as opened:
        rows = csv.DictReader(opened)
        if "path" not in (rows.fieldnames or ()):
            raise UserError(f"{file}: no column 'path' in its first line")
        paths = [row["path"] for row in rows if row["path"]]
    yield from paths


def _iterate_strings(data: Any) -> Iterator[str]:
    # Lists of face tools are nested by subject, light, expression and camera, but the file names contain the same information.
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for value in data.values():
            yield from _iterate_strings(value)
    elif isinstance(data, (list, tuple, np.ndarray)):
        for value in data:
            yield from _iterate_strings(value)


def _resolve_path(root: Path, path: str, source: Path) -> Path:
    parts = [part for part in Path(path).parts if part not in ("/", ".", "..")]
    for start in range(len(parts)):
        file = root.joinpath(*parts[start:])
        if file.is_file():
            return file
    raise UserError(f"{source}: lists {path}, which is not below {root}")

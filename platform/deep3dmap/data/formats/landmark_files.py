"""Files of 68 landmarks per photograph: iBUG's `.pts`, plain `.txt` tables, and `.npy`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import check_finite, read_npy, reading

SUFFIXES = (".pts", ".txt", ".npy")
PTS_OFFSET = -0.5  # iBUG uses 1-based pixels; in this package, the first pixel's centre is at 0.5


def read_landmarks(file: Path) -> NDArray[np.float32]:
    """Return (68, 2) landmarks in pixels, with centres at +0.5.

    `.pts` is 1-based; `.txt` and `.npy`, (68, 2 or 3) or transposed, have 0-based integer pixel centres.
    Raises UserError naming the file.
    """
    with reading(file, "table of landmarks"):
        values = read_npy(file, "table of landmarks") if file.suffix == ".npy" else _parse_table(file)
    if values.ndim == 2 and values.shape[0] in (2, 3) and values.shape[1] == 68:
        values = values.T
    if values.ndim != 2 or values.shape[0] != 68 or values.shape[1] not in (2, 3) or not np.isfinite(values).all():
        raise UserError(f"{file}: expected 68 rows of two or three finite numbers, got {values.shape}")
    with np.errstate(over="ignore"):
        pixels = (values[:, :2] + (PTS_OFFSET if file.suffix == ".pts" else 0.5)).astype(np.float32)
    # A finite float64 may overflow float32.
    check_finite(file, {"the table": pixels})
    return pixels


def landmark_file(folder: Path, name: str) -> Path:
    """Return the landmark file of photograph `name` in a folder; raises UserError if there is none."""
    for suffix in SUFFIXES:
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    raise UserError(f"{folder}: no landmarks for '{name}' ({name}{', '.join(SUFFIXES)})")


def _parse_table(file: Path) -> NDArray[np.float64]:
    text = file.read_text(encoding="utf-8")
    body = text.partition("{")[2].partition("}")[0] if "{" in text else text
    rows = [line.replace(",", " ").split() for line in body.splitlines() if line.strip()]
    return np.array([[float(value) for value in row] for row in rows])

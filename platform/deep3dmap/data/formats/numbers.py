"""Text files of numbers."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError


def read_matrix(file: Path, rows: int, columns: int) -> NDArray[np.float64]:
    """Return the (rows, columns) numbers of a file; raises UserError, which names it, if it holds anything else."""
    try:
        values = np.array(file.read_text().split(), np.float64)
    except (ValueError, OSError) as error:
        raise UserError(f"{file}: expected {rows}x{columns} numbers ({error})") from error
    if values.size != rows * columns:
        raise UserError(f"{file}: expected {rows}x{columns} numbers, got {values.size}")
    return values.reshape(rows, columns)


def read_rows(file: Path, columns: int) -> NDArray[np.float64]:
    """Return rows (N, columns) separated by spaces or commas; `#` begins a comment. Raises UserError that names the line."""
    try:
        lines = file.read_text().splitlines()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from error
    rows = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        try:
            rows.append([float(word) for word in words])
        except ValueError as error:
            raise UserError(f"{file}, line {number}: expected {columns} numbers ({error})") from error
        if len(words) != columns:
            raise UserError(f"{file}, line {number}: expected {columns} numbers, got {len(words)}")
    return np.array(rows, np.float64).reshape(-1, columns)


def nearest_in_time(times: NDArray[np.float64], wanted: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return for each wanted time the index of the nearest in `times` (N,), ascending and not empty, and the difference."""
    right = np.searchsorted(times, wanted).clip(1, max(len(times) - 1, 1)).clip(max=len(times) - 1)
    left = np.maximum(right - 1, 0)
    index = np.where(np.abs(times[left] - wanted) <= np.abs(times[right] - wanted), left, right)
    return index, np.abs(times[index] - wanted)

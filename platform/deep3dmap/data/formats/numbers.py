"""Readers of text files with numbers."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError


def read_matrix(file: Path, rows: int, columns: int) -> NDArray[np.float64]:
    """Return the (rows, columns) matrix in a file; raises UserError naming the file if it contains anything else."""
    try:
        values = np.array(file.read_text().split(), np.float64)
    except FileNotFoundError as error:
        raise UserError(f"{file}: the file is missing; it must contain {rows}x{columns} numbers") from error
    except (ValueError, OSError) as error:
        raise UserError(f"{file}: expected {rows}x{columns} numbers ({error})") from error
    if values.size != rows * columns:
        raise UserError(f"{file}: expected {rows}x{columns} numbers, got {values.size}")
    return values.reshape(rows, columns)


def read_rows(
    file: Path, columns: int, fault: Callable[[Sequence[float]], str | None] = lambda row: None
) -> NDArray[np.float64]:
    """Return rows (N, columns) separated by spaces or commas; `#` starts a comment.

    fault: returns a description of what is wrong with a row, or None. Raises UserError naming the file and line of a row that
    is not `columns` finite numbers or has a fault.
    """
    rows = []
    for number, words in read_words(file):
        found = _row_fault(words, columns)
        row = [] if found else [float(word) for word in words]
        if found := found or fault(row):
            raise UserError(f"{file}, line {number}: {found}")
        rows.append(row)
    return np.array(rows, np.float64).reshape(-1, columns)


def read_words(file: Path) -> list[tuple[int, list[str]]]:
    """Return (line number, words) of non-empty lines, with words separated by spaces or commas; `#` starts a comment."""
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError as error:
        raise UserError(f"{file}: the file is missing") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not a readable text file ({error})") from error
    split = [(number, line.partition("#")[0].replace(",", " ").split()) for number, line in enumerate(lines, 1)]
    return [(number, words) for number, words in split if words]


def increasing_times() -> Callable[[Sequence[float]], str | None]:
    """Return a fault check for `read_rows` that the first column, a time, does not decrease."""
    last = -np.inf

    def fault(row: Sequence[float]) -> str | None:
        nonlocal last
        before, last = last, row[0]
        return None if row[0] >= before else f"the time {row[0]:.6f} comes after {before:.6f}; sort the lines by time"

    return fault


def nearest_in_time(times: NDArray[np.float64], wanted: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the indices of the entries of `times` (N,) nearest to `wanted`, and the absolute differences.

    `times` must be sorted and not empty.
    """
    right = np.searchsorted(times, wanted).clip(1, max(len(times) - 1, 1)).clip(max=len(times) - 1)
    left = np.maximum(right - 1, 0)
    index = np.where(np.abs(times[left] - wanted) <= np.abs(times[right] - wanted), left, right)
    return index, np.abs(times[index] - wanted)


def _row_fault(words: list[str], columns: int) -> str | None:
    if len(words) != columns:
        return f"expected {columns} numbers, got {len(words)}"
    try:
        values = np.array(words, np.float64)
    except ValueError as error:
        return f"expected {columns} numbers ({error})"
    return None if np.isfinite(values).all() else "NaN or infinity among the numbers; drop the line or repair it"

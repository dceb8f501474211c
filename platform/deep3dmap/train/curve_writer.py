"""Writes the curves of a running training to a JSON-lines file that survives crashes and is truncated on resume."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deep3dmap.core.errors import UserError
from deep3dmap.results.curve_lines import parse_curves


class CurveWriter:
    """Appends points to a file, first dropping the points beyond the step of the checkpoint that training resumes from.

    Every method raises UserError if the file cannot be written, for example because the disk is full.
    """

    def __init__(self, file: Path, resume_step: int, flush_every_s: float = 2.0) -> None:
        self.file, self.flush_every_s = file, flush_every_s
        kept_rows = [row for row in read_curves(file) if row["step"] <= resume_step]
        with self._reporting_write_errors():
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary = file.with_suffix(".tmp")
            temporary.write_text("".join(json.dumps(row) + "\n" for row in kept_rows))
            temporary.replace(file)
            self._stream = file.open("a")
        self._flushed = time.monotonic()

    def add(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        """Append one point of each named curve."""
        with self._reporting_write_errors():
            for name, value in values.items():
                point = {"step": step, "seconds": round(seconds, 3), "name": name, "value": value}
                self._stream.write(json.dumps(point) + "\n")
        if time.monotonic() - self._flushed > self.flush_every_s:
            self.flush()

    def flush(self) -> None:
        """Flush buffered points to the operating system."""
        with self._reporting_write_errors():
            self._stream.flush()
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Flush and close the file."""
        with self._reporting_write_errors():
            self._stream.close()

    @contextmanager
    def _reporting_write_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(f"{self.file}: cannot write: {error.strerror}; free space or change results=") from error


def read_curves(file: Path) -> list[dict[str, Any]]:
    """Return the points in a file, without a last line truncated by a crash."""
    return parse_curves(file.read_text()) if file.is_file() else []

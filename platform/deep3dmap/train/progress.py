"""Progress of a training: written to a file by the worker, shown as a single line by the command."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

# Environment variable with the file to which this process writes its progress, for the command that waits for it.
PROGRESS_FILE = "DEEP3DMAP_PROGRESS"


class Progress:
    """Shows steps, loss and the estimated time until the budget is spent, at most twice a second.

    Writes to the file in $DEEP3DMAP_PROGRESS if that is set, else to the terminal, if there is one. enabled: None shows
    progress only in these two cases; True also prints a line every few seconds without a terminal.
    """

    def __init__(self, total_steps: int, max_seconds: float, enabled: bool | None = None) -> None:
        self.total_steps, self.max_seconds = total_steps, max_seconds
        self._to_file = bool(os.environ.get(PROGRESS_FILE)) and enabled is not False
        self.enabled = (self._to_file or sys.stderr.isatty()) if enabled is None else enabled
        self._shown = 0.0
        self._line = ProgressLine()

    def show(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        """Update the progress line."""
        now = time.monotonic()
        if not self.enabled or now - self._shown < 0.5:
            return
        self._shown = now
        if self._to_file:
            report_activity(self.line(step, seconds, values))
        else:
            self._line.show(self.line(step, seconds, values))

    def line(self, step: int, seconds: float, values: Mapping[str, float]) -> str:
        """Return the text of the progress line."""
        of = f"/{self.total_steps}" if self.total_steps else ""
        terms = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        return f"step {step}{of}  {terms}  {step / max(seconds, 1e-9):.1f} steps/s  {self._left(step, seconds)}"

    def close(self) -> None:
        """End the progress line."""
        self._line.close()

    def _left(self, step: int, seconds: float) -> str:
        guesses = []
        if self.total_steps and step:
            guesses.append(seconds / step * (self.total_steps - step))
        if self.max_seconds:
            guesses.append(self.max_seconds - seconds)
        if not guesses:
            return f"{seconds:.0f} s"
        left = max(0, int(min(guesses)))
        return f"{left // 60}:{left % 60:02d} left"


def report_activity(text: str) -> None:
    """Report the current activity to the command that waits for this process, if any."""
    place = os.environ.get(PROGRESS_FILE)
    if not place:
        return
    try:
        temporary = Path(f"{place}.{os.getpid()}")
        temporary.write_text(text)
        temporary.replace(place)
    except OSError:
        # A full disk is reported by whatever must be written; a progress line is not worth ending the training.
        return


def announce(text: str) -> None:
    """Announce what starts now, to the command that waits for this process, or to stderr if there is none."""
    if os.environ.get(PROGRESS_FILE):
        report_activity(text)
    else:
        print(text, file=sys.stderr, flush=True)


class ProgressLine:
    """Shows a worker's progress on a stream: one redrawn line on a terminal, else a new line every few seconds."""

    def __init__(self, stream: TextIO | None = None, every_s: float = 5.0) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.every_s = every_s
        self._terminal = self.stream.isatty()
        self._drawn, self._last, self._written = "", "", -every_s

    def show(self, text: str) -> None:
        """Show the newest progress text."""
        now = time.monotonic()
        if not text or text == self._last:
            return
        if self._terminal:
            self._write(f"\r\x1b[2K{text}")
            self._drawn = self._last = text
        elif now - self._written >= self.every_s or not text.startswith("step "):
            self._write(f"{text}\n")
            self._last, self._written = text, now

    def say(self, text: str) -> None:
        """Print permanent lines above the progress line."""
        self._write(self._erasure() + text.rstrip("\n") + "\n")
        if self._drawn:
            self._write(self._drawn)

    def close(self) -> None:
        """End the progress line, leaving it on the screen."""
        if self._drawn:
            self._write("\n")
            self._drawn = ""

    def _erasure(self) -> str:
        return "\r\x1b[2K" if self._drawn else ""

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()

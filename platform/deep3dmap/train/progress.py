"""Progress of a training: what a worker tells in a file, and the line in which the command shows it."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

# Names the file in which this process tells how far it is, for the command that waits for it.
TOLD_IN = "DEEP3DMAP_PROGRESS"


class Progress:
    """Shows steps, loss and the estimated time to the end of the budget, at most twice a second.

    Told in the file of $DEEP3DMAP_PROGRESS where that is set, else drawn on the terminal, if there is one.
    enabled: None decides by these two; True writes a line every few seconds where there is no terminal either.
    """

    def __init__(self, total_steps: int, max_seconds: float, enabled: bool | None = None) -> None:
        self.total_steps, self.max_seconds = total_steps, max_seconds
        self._told = bool(os.environ.get(TOLD_IN)) and enabled is not False
        self.enabled = (self._told or sys.stderr.isatty()) if enabled is None else enabled
        self._shown = 0.0
        self._line = ProgressLine()

    def show(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        """Redraw the line."""
        now = time.monotonic()
        if not self.enabled or now - self._shown < 0.5:
            return
        self._shown = now
        if self._told:
            tell(self.line(step, seconds, values))
        else:
            self._line.show(self.line(step, seconds, values))

    def line(self, step: int, seconds: float, values: Mapping[str, float]) -> str:
        """Return the text of the line."""
        of = f"/{self.total_steps}" if self.total_steps else ""
        terms = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        return f"step {step}{of}  {terms}  {step / max(seconds, 1e-9):.1f} steps/s  {self._left(step, seconds)}"

    def close(self) -> None:
        """End the line."""
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


def tell(text: str) -> None:
    """Tell the command that waits for this process what it does now; does nothing where none waits."""
    place = os.environ.get(TOLD_IN)
    if not place:
        return
    try:
        temporary = Path(f"{place}.{os.getpid()}")
        temporary.write_text(text)
        temporary.replace(place)
    except OSError:
        # A disk that is full is told of by what has to be written; a line of progress is not worth a training.
        return


def announce(text: str) -> None:
    """Say what begins now: to the command that waits for this process, or where there is none on the standard error."""
    if os.environ.get(TOLD_IN):
        tell(text)
    else:
        print(text, file=sys.stderr, flush=True)


class ProgressLine:
    """Shows on a stream what a worker tells: a line that is redrawn on a terminal, one every few seconds elsewhere."""

    def __init__(self, stream: TextIO | None = None, every_s: float = 5.0) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.every_s = every_s
        self._terminal = self.stream.isatty()
        self._drawn, self._last, self._written = "", "", -every_s

    def show(self, text: str) -> None:
        """Show the newest word of progress."""
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
        """Write lines that stay."""
        self._write(self._erasure() + text.rstrip("\n") + "\n")
        if self._drawn:
            self._write(self._drawn)

    def close(self) -> None:
        """Leave the line that was drawn as it is."""
        if self._drawn:
            self._write("\n")
            self._drawn = ""

    def _erasure(self) -> str:
        return "\r\x1b[2K" if self._drawn else ""

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()

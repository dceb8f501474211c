"""One line of progress with the time that is left: on a terminal it is redrawn, in a pipe it is silent."""

import sys
import time
from collections.abc import Mapping


class Progress:
    """Shows steps, loss and the estimated time to the end of the budget, at most twice a second."""

    def __init__(self, total_steps: int, max_seconds: float, enabled: bool | None = None) -> None:
        self.total_steps, self.max_seconds = total_steps, max_seconds
        self.enabled = sys.stderr.isatty() if enabled is None else enabled
        self._shown = 0.0

    def show(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        """Redraw the line."""
        now = time.monotonic()
        if not self.enabled or now - self._shown < 0.5:
            return
        self._shown = now
        sys.stderr.write("\r\x1b[2K" + self.line(step, seconds, values))
        sys.stderr.flush()

    def line(self, step: int, seconds: float, values: Mapping[str, float]) -> str:
        """Return the text of the line."""
        of = f"/{self.total_steps}" if self.total_steps else ""
        terms = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        return f"step {step}{of}  {terms}  {step / max(seconds, 1e-9):.1f} steps/s  {self._left(step, seconds)}"

    def close(self) -> None:
        """End the line."""
        if self.enabled and self._shown:
            sys.stderr.write("\n")

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

"""Runs command lines side by side, some at a time in the order given, and fails if one of them fails.

    python tests/side_by_side.py 3 'pytest tests/ops' 'pytest tests/cli' ...

What a command prints is shown in one piece: as it comes for the first that is not shown yet, afterwards for the others.
A signal ends all of them. Each is interrupted as by Ctrl-C, so that it can end what it has started.
"""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from typing import IO

PATIENCE_S = 60.0


class Command:
    """One command line, in a session of its own: signals of the terminal reach only the process that runs them all."""

    def __init__(self, line: str, output: IO[bytes]) -> None:
        self.line, self.output, self.began, self.shown = line, output, time.monotonic(), 0
        self.process = subprocess.Popen(shlex.split(line), stdout=output, stderr=subprocess.STDOUT, start_new_session=True)

    def show(self) -> bool:
        """Print what has not been printed yet; returns whether the command has ended and all of it is printed."""
        ended = self.process.poll() is not None
        new = os.pread(self.output.fileno(), 1 << 30, self.shown)
        self.shown += len(new)
        sys.stdout.buffer.write(new)
        sys.stdout.flush()
        return ended

    def interrupt(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def run(lines: list[str], at_once: int) -> int:
    """Run all lines and return the first exit code that is not 0."""
    with tempfile.TemporaryDirectory() as folder:
        begun: list[Command] = []
        shown = 0
        try:
            while shown < len(lines):
                while len(begun) < len(lines) and sum(one.process.poll() is None for one in begun) < at_once:
                    begun.append(Command(lines[len(begun)], open(os.path.join(folder, str(len(begun))), "w+b")))  # noqa: SIM115
                shown += begun[shown].show()
                time.sleep(0.1)
        finally:
            _end(begun)
            for one in begun[shown:]:
                one.show()
            for one in begun:
                one.output.close()
    codes = [one.process.returncode for one in begun]
    for one, code in zip(begun, codes):
        print(f"{'failed' if code else 'passed'}: {one.line}", flush=True)
    return next((abs(code) for code in codes if code), 0)


def _end(commands: list[Command]) -> None:
    for one in commands:
        one.interrupt()
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and any(one.process.poll() is None for one in commands):
        time.sleep(0.1)
    for one in commands:
        one.kill()


def _interrupted(number: int, frame: object) -> None:
    # A second signal, sent as nothing seems to happen, does not disturb how they are ended.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    sys.exit(run(sys.argv[2:], int(sys.argv[1])))

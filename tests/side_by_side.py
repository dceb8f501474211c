"""Run command lines in parallel, a limited number at a time in the given order; fails if any of them fails.

    python tests/side_by_side.py 3 'pytest tests/ops' 'pytest tests/cli' ...

The output of each command is shown in one piece: live for the first unfinished command, and afterwards for the others. A signal
ends all commands. Each is interrupted as by Ctrl-C, so that it can stop the processes it has started.
"""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE_S = 30.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Command:
    """One command line in its own session, so that signals from the terminal reach only the parent process."""

    def __init__(self, line: str) -> None:
        self.line, self.shown, self.seconds = line, 0, 0.0
        self.output = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(shlex.split(line), stdout=self.output, stderr=subprocess.STDOUT, start_new_session=True)
        self.began = time.monotonic()

    def is_running(self) -> bool:
        if self.process.returncode is None and self.process.poll() is not None:
            self.seconds = time.monotonic() - self.began
        return self.process.returncode is None

    def show(self) -> None:
        """Print the output that has not been printed yet."""
        written = self.output.fileno()
        new = os.pread(written, os.fstat(written).st_size - self.shown, self.shown)
        self.shown += len(new)
        sys.stdout.buffer.write(new)
        sys.stdout.flush()

    def interrupt(self) -> None:
        if self.is_running():
            self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        if self.is_running():
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def run(lines: list[str], at_once: int) -> int:
    """Run all lines and return the first exit code that is not 0."""
    begun: list[Command] = []
    shown = 0
    try:
        while shown < len(lines):
            running = [one.is_running() for one in begun]
            if len(begun) < len(lines) and sum(running) < at_once:
                begun.append(Command(lines[len(begun)]))
                continue
            begun[shown].show()
            shown += not running[shown]
            time.sleep(0.1)
    finally:
        _end(begun)
        for one in begun[shown:]:
            one.show()
    for one in begun:
        print(f"{'failed' if one.process.returncode else 'passed'} in {one.seconds:.0f} s: {one.line}")
    return next((abs(one.process.returncode) for one in begun if one.process.returncode), 0)


def _end(commands: list[Command]) -> None:
    for one in commands:
        one.interrupt()
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and any(one.is_running() for one in commands):
        time.sleep(0.1)
    for one in commands:
        one.kill()


def _interrupted(number: int, frame: object) -> None:
    # Ignore further signals while the commands are being ended.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    # Set handlers even if the signals are ignored, as for background jobs of a script; child processes would inherit that.
    for each in SIGNALS:
        signal.signal(each, _interrupted)
    sys.exit(run(sys.argv[2:], int(sys.argv[1])))

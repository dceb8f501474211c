"""Tests of the runner of `make test`: no output or failure is lost, and a signal ends all commands."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# The child runs in its own session, like commands started by tests.
WAITS = """
import subprocess, sys
below = subprocess.Popen(["sleep", "600"], start_new_session=True)
open(sys.argv[1], "w").write(str(below.pid))
try:
    below.wait()
finally:
    below.kill()
    below.wait()
    print("tidied", sys.argv[2])
"""
RUNNER = [sys.executable, str(Path(__file__).with_name("side_by_side.py"))]


def test_outputs_come_in_order_and_each_in_one_piece() -> None:
    lines = ["sh -c 'echo a1; sleep 1; echo a2'", "sh -c 'echo b1; sleep 0.5; echo b2 >&2'", "echo c"]
    done = subprocess.run([*RUNNER, "3", *lines], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout.split("passed in ")[0].split() == ["a1", "a2", "b1", "b2", "c"]
    assert done.stdout.count("passed in ") == 3


@pytest.mark.parametrize("place", [0, 1, 2])
def test_any_failure_fails_all_and_the_others_are_run(place: int, tmp_path: Path) -> None:
    lines = [f"sh -c 'touch {tmp_path}/{n}; exit {7 if n == place else 0}'" for n in range(3)]
    done = subprocess.run([*RUNNER, "1", *lines], capture_output=True, text=True, timeout=60)
    assert done.returncode == 7
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0", "1", "2"]
    assert re.findall(r"failed in \d+ s: (.*)", done.stdout) == [lines[place]]


def test_no_more_at_once_than_were_asked_for(tmp_path: Path) -> None:
    line = f"sh -c 'echo x > {tmp_path}/$$; ls {tmp_path} | wc -l; sleep 0.5; rm {tmp_path}/$$'"
    done = subprocess.run([*RUNNER, "2", *[line] * 4], capture_output=True, text=True, timeout=60)
    assert max(int(word) for word in done.stdout.split("passed in ")[0].split()) == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_interrupts_each_and_shows_what_it_said(number: signal.Signals, code: int, tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    lines = [f"{sys.executable} {tmp_path}/waits.py {tmp_path}/{name} {name}" for name in ("one", "two")]
    runner = subprocess.Popen([*RUNNER, "2", *lines, f"touch {tmp_path}/three"], stdout=subprocess.PIPE, text=True)
    files = [tmp_path / "one", tmp_path / "two"]
    until = time.monotonic() + 30
    while not all(file.exists() and file.read_text() for file in files):
        assert time.monotonic() < until
        time.sleep(0.05)
    runner.send_signal(number)
    told, _ = runner.communicate(timeout=60)
    assert runner.returncode == code
    assert "tidied one" in told
    assert "tidied two" in told
    assert not (tmp_path / "three").exists()
    for file in files:
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)

"""A command that cannot run its own signal handlers is ended nevertheless, with the processes it started."""

import os
import signal
import subprocess
import sys
import time

import pytest

from deep3dmap.train.processes import state

# `PyDLL` holds the GIL during a call, and locking a mutex twice blocks regardless of signals.
STUCK = """
import ctypes, subprocess
from deep3dmap.cli import ending
ending.GRACE_S = dict.fromkeys(ending.GRACE_S, 0.5)
ending.watch_signals()
print(subprocess.Popen(["sleep", "600"]).pid, flush=True)
mutex = ctypes.create_string_buffer(64)
for _ in range(2):
    ctypes.PyDLL(None).pthread_mutex_lock(mutex)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_library_that_keeps_the_interpreter_is_ended_after_a_grace(number: signal.Signals) -> None:
    command = subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, text=True)
    assert command.stdout is not None
    below = int(command.stdout.readline())
    time.sleep(0.5)
    command.send_signal(number)
    assert command.wait(20) == -signal.SIGKILL
    until = time.monotonic() + 10
    while state(below) not in ("", "Z") and time.monotonic() < until:
        time.sleep(0.05)
    assert state(below) in ("", "Z")


def test_nothing_watches_a_command_that_has_ended() -> None:
    code = "from deep3dmap.cli.ending import exit_process, watch_signals; watch_signals(); print('done'); exit_process(3)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=dict(os.environ))
    # The output pipe would stay open if any process were left.
    assert (done.returncode, done.stdout) == (3, "done\n")

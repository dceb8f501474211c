"""Shutdown of the command: on Ctrl-C or SIGTERM at any time, together with every process it started."""

import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from deep3dmap.train.interruption import Terminated
from deep3dmap.train.processes import adopt_orphans, descendants, end_descendants, end_processes

# Seconds that the command has to unwind after a signal before it is killed.
GRACE_S = {signal.SIGTERM: 5.0, signal.SIGINT: 10.0}


def watch_signals() -> None:
    """Make SIGINT and SIGTERM end this process, even while a library blocks and keeps the interpreter from running.

    Call this before any thread is started.
    """
    adopt_orphans()
    signal.signal(signal.SIGTERM, _raise_terminated)
    read_end, write_end = os.pipe()
    command = os.getpid()
    if os.fork() == 0:
        os.close(write_end)
        _kill_after_grace_period(read_end, command)
    os.close(read_end)
    os.set_blocking(write_end, False)
    # The interpreter's C handler writes to this descriptor when a signal arrives, even while no Python code can run.
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)


def exit_process(code: int) -> NoReturn:
    """End every process started here, then this one, without an orderly teardown of the libraries."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    end_descendants()
    os._exit(code)


def _raise_terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def _kill_after_grace_period(read_end: int, command: int) -> NoReturn:
    """Wait, in a separate process, until a signal is reported; kill whatever still runs after the grace period."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The pipe closes when the command ends.
    while numbers := os.read(read_end, 64):
        grace = [GRACE_S[signal.Signals(number)] for number in numbers if number in GRACE_S]
        if grace:
            time.sleep(min(grace))
            children = [process for process in descendants(command) if process != os.getpid()]
            end_processes([*children, command])
            break
    os._exit(0)

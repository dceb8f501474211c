"""How the command ends: on Ctrl-C and SIGTERM whatever it is doing, and with every process that it has started."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from deep3dmap.train.interruption import Terminated
from deep3dmap.train.processes import adopt_orphans, end_descendants

# How long a signal may take to unwind what the command is doing; then the command ends without that.
GRACE_S = {signal.SIGTERM: 5.0, signal.SIGINT: 10.0}


def watch_signals() -> None:
    """From now on SIGINT and SIGTERM end this process, also while it waits for a library that does not heed them."""
    adopt_orphans()
    signal.signal(signal.SIGTERM, _terminate)
    heard, told = os.pipe()
    os.set_blocking(told, False)
    # Written to by the interpreter when a signal comes, even while its main thread is inside a library.
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    threading.Thread(target=_insist, args=(heard,), daemon=True, name="signals").start()


def leave(code: int) -> NoReturn:
    """End every process that was started here, then this one, without taking the libraries apart in good order."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    end_descendants()
    os._exit(code)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def _insist(heard: int) -> None:
    while True:
        for number in os.read(heard, 64):
            if number in GRACE_S:
                time.sleep(GRACE_S[signal.Signals(number)])
                leave(128 + number)

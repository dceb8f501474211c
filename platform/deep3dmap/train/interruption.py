"""Interruptions of a run from outside, by Ctrl-C or SIGTERM, which are neither failures nor successes.

Neither class derives from Exception, so handlers of failures do not store a row for them.
"""

import signal


class InterruptedRun(KeyboardInterrupt):
    """The user interrupted a run; the message is one line that explains how to resume. The command line exits with 130."""


class Terminated(SystemExit):
    """The command received SIGTERM; the message is one line. The command line exits with 143."""

    exit_code = 128 + signal.SIGTERM

    def __init__(self, message: str = "terminated") -> None:
        super().__init__(message)

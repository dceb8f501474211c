"""What ends a run from outside: Ctrl-C and SIGTERM, neither failures nor successes.

Neither is an Exception, so that no handler of failures makes a row of it.
"""

import signal


class InterruptedRun(KeyboardInterrupt):
    """A run that the user interrupted; the message is one line that says how to go on. The command line exits with 130."""


class Terminated(SystemExit):
    """The command was sent SIGTERM; the message is one line. The command line exits with 143."""

    exit_code = 128 + signal.SIGTERM

    def __init__(self, message: str = "terminated") -> None:
        super().__init__(message)

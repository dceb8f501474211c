"""The error type for mistakes that a user can fix, and spelling suggestions for names."""

import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class UserError(Exception):
    """A user's mistake: a one-line message names the file or field and the fix. The command line exits with code 2."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class DivergedError(Exception):
    """Training produced a loss that is not finite; the message gives the step and the loss terms."""


def describe_error(error: BaseException) -> str:
    """Describe an exception and where it was raised in one line, such as `ValueError: no (model.py:12)`."""
    text = str(error).strip().splitlines()
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename or '?').name}:{error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text[0] if text else 'no reason given'}{where}"


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return `; did you mean 'X'?` for the closest of `choices`, or the list of choices if none is close."""
    options = sorted(choices)
    close = get_close_matches(name, options, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; available: {', '.join(options)}" if options else ""


def unknown(kind: str, name: str, choices: Iterable[str]) -> UserError:
    """Return the error for an unknown name."""
    return UserError(f"unknown {kind} '{name}'{nearest(name, choices)}")

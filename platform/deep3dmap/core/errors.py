"""The one error type for mistakes a user can mend, and spelling help for names."""

import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class UserError(Exception):
    """A mistake of the user: one line that names the file or field and says what to do. The command line exits with 2."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class DivergedError(Exception):
    """Training produced a loss that is not finite; the message gives the step and the loss terms."""


def describe_error(error: BaseException) -> str:
    """Return in one line what was raised and in which line of which file, such as `ValueError: no (model.py:12)`."""
    text = str(error).strip().splitlines()
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename or '?').name}:{error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text[0] if text else 'no reason given'}{where}"


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return `; did you mean X?` for the closest of `choices`, or the list of choices where none is close."""
    options = sorted(choices)
    close = get_close_matches(name, options, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; there are: {', '.join(options)}" if options else ""


def unknown(kind: str, name: str, choices: Iterable[str]) -> UserError:
    """Build the error for a name that is not registered."""
    return UserError(f"unknown {kind} '{name}'{nearest(name, choices)}")

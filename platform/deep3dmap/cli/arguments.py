"""How every verb reads its line: flags by argparse, the rest as `key=value`."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from deep3dmap.core.errors import UserError


class VerbParser(argparse.ArgumentParser):
    """An argument parser whose mistakes are UserErrors, one line each."""

    def __init__(self, verb: str, description: str, examples: str) -> None:
        super().__init__(
            prog=f"deep3dmap {verb}",
            description=description,
            epilog=f"examples:\n{examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing a usage page."""
        raise UserError(f"{message}; see {self.prog} --help")

    def parse(self, argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
        """Return the flags and positional arguments, and the `key=value` arguments wherever they stand."""
        pairs = [text for text in argv if "=" in text and not text.startswith("-")]
        return self.parse_args([text for text in argv if text not in pairs]), pairs


def how_many(text: str) -> int:
    """Read a whole number of at least 1, as the `type` of an argument that says how many."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least 1")
    return number


def on_terminal() -> bool:
    """Whether progress may be drawn."""
    return sys.stderr.isatty()

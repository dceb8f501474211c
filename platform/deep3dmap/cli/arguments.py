"""Argument parsing shared by all verbs: argparse for flags and positional arguments, plus `key=value` pairs."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from deep3dmap.core.errors import UserError


class VerbParser(argparse.ArgumentParser):
    """An argument parser that reports errors as one-line UserErrors."""

    def __init__(self, verb: str, description: str, examples: str) -> None:
        super().__init__(
            prog=f"deep3dmap {verb}",
            description=description,
            epilog=f"examples:\n{examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """Raise UserError instead of printing the usage."""
        raise UserError(f"{message}; see {self.prog} --help")

    def parse(self, argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
        """Return the parsed flags and positional arguments, and the `key=value` arguments, wherever they appear."""
        pairs = [text for text in argv if "=" in text and not text.startswith("-")]
        return self.parse_args([text for text in argv if text not in pairs]), pairs


def how_many(text: str) -> int:
    """Parse a whole number of at least 1; used as the argparse `type` of counts."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least 1")
    return number


def is_terminal() -> bool:
    """Return whether stderr is a terminal, on which progress can be drawn."""
    return sys.stderr.isatty()

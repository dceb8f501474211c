"""Warnings as a user reads them: one line each, once, without the file and the source line that raised them."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print each warning that Python would show to stderr as a line of its own."""
    with warnings.catch_warnings():
        seen: set[str] = set()

        def show(message: Warning | str, *_: object) -> None:
            # Imported when it is needed: `--help` loads nothing that takes time.
            from deep3dmap.cli.printable import printable

            if str(message) not in seen:
                print(f"deep3dmap: {printable(str(message))}", file=sys.stderr)
            seen.add(str(message))

        warnings.showwarning = show  # type: ignore[assignment]
        yield

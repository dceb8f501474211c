"""User-friendly warnings: one line each, printed once, without the file and source line that raised them."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print each warning that Python would show to stderr as a single line."""
    with warnings.catch_warnings():
        seen: set[str] = set()

        def show(message: Warning | str, *_: object) -> None:
            # Imported on demand to keep `--help` fast.
            from deep3dmap.cli.printable import printable

            if str(message) not in seen:
                print(f"deep3dmap: {printable(str(message))}", file=sys.stderr)
            seen.add(str(message))

        warnings.showwarning = show  # type: ignore[assignment]
        yield

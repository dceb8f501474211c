"""Tables as the verbs print them: folded to the terminal, whole lines in a pipe."""

import io
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

# No pipe is this wide, so nothing is wrapped or cut there.
_WIDE = 10_000


def table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table whose cells are folded and never cut."""
    made = bare_table(title=title, title_justify="left")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def bare_table(**looks: Any) -> Table:
    """Return a table without lines, to which columns are added yet. looks: as rich has them."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), **looks)


def print_table(made: Table) -> None:
    """Print a table: to a terminal folded to its width, to a pipe one line per row."""
    if sys.stdout.isatty():
        Console().print(made)
        return
    text = io.StringIO()
    Console(file=text, width=_WIDE).print(made)
    sys.stdout.write("".join(line.rstrip() + "\n" for line in text.getvalue().splitlines()))

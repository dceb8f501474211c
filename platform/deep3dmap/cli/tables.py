"""Tables printed by the verbs: folded to the width of a terminal, unfolded in a pipe."""

import io
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

# Wide enough that nothing is wrapped or cut in a pipe.
_WIDE = 10_000


def table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table whose cells are folded, never cut."""
    made = bare_table(title=title, title_justify="left")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def bare_table(**looks: Any) -> Table:
    """Return a table without borders and columns. looks: further arguments of rich's Table."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), **looks)


def print_table(made: Table) -> None:
    """Print a table: folded to the width of a terminal, or one line per row in a pipe."""
    if sys.stdout.isatty():
        Console().print(made)
        return
    text = io.StringIO()
    Console(file=text, width=_WIDE).print(made)
    sys.stdout.write("".join(line.rstrip() + "\n" for line in text.getvalue().splitlines()))

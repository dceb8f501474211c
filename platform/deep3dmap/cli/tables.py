"""Tables printed by the verbs: folded to the width of a terminal, unfolded in a pipe."""

import io
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

# Wide enough that nothing is wrapped or cut in a pipe.
_PIPE_WIDTH = 10_000


def table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table whose cells are folded, never cut."""
    built = bare_table(title=title, title_justify="left")
    for column in columns:
        built.add_column(column, overflow="fold")
    return built


def bare_table(**style: Any) -> Table:
    """Return a table without borders and columns. style: further arguments of rich's Table."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), **style)


def print_table(built: Table) -> None:
    """Print a table: folded to the width of a terminal, or one line per row in a pipe."""
    if sys.stdout.isatty():
        Console().print(built)
        return
    text = io.StringIO()
    Console(file=text, width=_PIPE_WIDTH).print(built)
    sys.stdout.write("".join(line.rstrip() + "\n" for line in text.getvalue().splitlines()))

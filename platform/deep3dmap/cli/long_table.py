"""Terminal tables of thousands of rows; rich's own tables take half a second per thousand rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

GAP = "  "
# Minimum width of folded names; lines may exceed the terminal's width instead. Other texts break only between words.
MIN_NAME_WIDTH = 12


@dataclass(frozen=True)
class Line:
    """A row. cells: plain text without control characters. note: printed below the name. style: rich style of the row."""

    cells: Sequence[str]
    note: str = ""
    style: str = ""


def print_long(out: Console, heads: Sequence[str], lines: Sequence[Line], texts: Mapping[str, int]) -> None:
    """Print a table.

    texts: {head: maximum width} of the left-aligned columns, which are folded if space runs out, the last one first; the first
    of them contains the names. All other columns, such as numbers, are right-aligned and never cut.
    """
    every = [Line(heads, style="bold"), *lines]
    widths = _compute_widths(every, [texts.get(head) for head in heads], out.width)
    is_text = [head in texts for head in heads]
    names, found = is_text.index(True), Text()
    for line in every:
        parts = [_wrap_cell(cell, width) for cell, width in zip(line.cells, widths)]
        named = len(parts[names])
        if line.note:
            parts[names].append(_note_line(line))
        for number, cells in enumerate(zip_longest(*parts, fillvalue="")):
            whole = GAP.join(_align_cell(cell, width, left) for cell, width, left in zip(cells, widths, is_text))
            found.append(f"{whole.rstrip()}\n", line.style if number < named or not line.note else "dim")
    out.print(found, soft_wrap=True, end="")


def _compute_widths(lines: Sequence[Line], longest: Sequence[int | None], available: int) -> list[int]:
    """Return the column widths. longest: maximum width of each column, None for one that is not folded."""
    names, *rest = (place for place, most in enumerate(longest) if most is not None)
    columns = [list(cells) for cells in zip(*(line.cells for line in lines))]
    columns[names] += [_note_line(line) for line in lines]
    natural = [max(map(cell_len, cells)) for cells in columns]
    found = [width if most is None else min(width, most) for width, most in zip(natural, longest)]
    least = {place: max(cell_len(word) for cell in columns[place] for word in cell.split()) for place in rest}
    excess = sum(found) + len(GAP) * (len(found) - 1) - available
    for place in (*reversed(rest), names):
        reduction = min(max(excess, 0), max(found[place] - least.get(place, MIN_NAME_WIDTH), 0))
        found[place], excess = found[place] - reduction, excess - reduction
    return found


def _note_line(line: Line) -> str:
    return f"  {line.note}" if line.note else ""


def _wrap_cell(cell: str, width: int) -> list[str]:
    """Return the lines of a cell, broken after spaces and slashes if there are any."""
    found = []
    while cell_len(cell) > width:
        begin = chop_cells(cell, width)[0]
        # A word that fits exactly may be followed by a space outside the width, which is stripped.
        cut = max(chop_cells(cell, width + 1)[0].rfind(" "), begin.rfind("/")) + 1 or len(begin)
        found.append(cell[:cut].rstrip())
        cell = cell[cut:].lstrip()
    return [*found, cell]


def _align_cell(cell: str, width: int, is_text: bool) -> str:
    blank = " " * max(width - cell_len(cell), 0)
    return cell + blank if is_text else blank + cell

"""Export of the leaderboard as JSON, CSV and LaTeX; see html_page.py for HTML. docs/results.md describes the formats."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from itertools import groupby
from typing import Any

from deep3dmap.results.board_row import LeaderboardRow
from deep3dmap.results.quoted import NO_QUOTED_VALUES, Quoted, QuotedValues

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: "\\" + character for character in "&%$#_{}"},
    "\n": " ",
    "\r": " ",
}


def to_json(rows: Sequence[LeaderboardRow], quoted: QuotedValues = NO_QUOTED_VALUES) -> str:
    """Return {"suites": {suite: [row, ...]}}, with published values under "quoted" if there are any.

    Numbers that are not finite are null.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row.suite, []).append({name: _plain(value) for name, value in asdict(row).items()})
    others = [{**asdict(group), **asdict(one)} for (group, _), values in quoted.items() for one in values]
    return json.dumps({"suites": found, **({"quoted": others} if others else {})}, indent=1, allow_nan=False)


def to_csv(rows: Sequence[LeaderboardRow]) -> str:
    """Return a header and one line per row. Missing values are empty, lists are joined by spaces."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [field.name for field in fields(LeaderboardRow)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        joined = {name: " ".join(getattr(row, name)) for name in ("inputs", "missing_scenes", "run_ids")}
        writer.writerow({name: csv_cell(value) for name, value in {**asdict(row), **joined}.items()})
    return stream.getvalue()


def to_latex(rows: Sequence[LeaderboardRow], quoted: QuotedValues = NO_QUOTED_VALUES) -> str:
    """Return one booktabs table per group and metric, with the best value in bold and quoted values below a rule.

    Requires \\usepackage{booktabs}.
    """
    groups = groupby(rows, key=lambda row: (row.group, row.metric))
    tables = [_latex_table(list(own), quoted.get(key, ())) for key, own in groups]
    return "\n".join(tables)


def csv_cell(value: Any) -> Any:
    """Return a value for a CSV cell; text that a spreadsheet would parse as a formula is prefixed with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def significant(value: float | None, digits: int = 4) -> str:
    """Format a number with `digits` significant digits, without an exponent unless very large or small; "" for None."""
    if value is None:
        return ""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
    if not -5 < exponent < 7:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(0, digits - 1 - exponent)}f}"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return list(value) if isinstance(value, tuple) else value


def _latex_table(rows: list[LeaderboardRow], quoted: Sequence[Quoted]) -> str:
    first = rows[0]
    arrow = r"$\uparrow$" if first.better == "up" else r"$\downarrow$"
    unit = f" [{_escaped(first.unit)}]" if first.unit else ""
    data = f"{first.dataset}/{first.dataset_variant}, version {first.dataset_version}"
    about = f"suite {first.suite}, protocol {first.protocol_version}, tier {first.tier}, data {data}"
    lines = [
        # A line break would end the comment.
        "% " + " ".join(about.split()),
        r"\begin{tabular}{rllrrrrr}",
        r"\toprule",
        rf"\# & Method & Inputs & {_escaped(first.metric)}{unit} {arrow} & 95\,\% interval & Seeds & Scenes & Seconds \\",
        r"\midrule",
        *(_latex_line(row) for row in rows),
        *([r"\midrule"] if quoted else []),
        *(_latex_quoted(one) for one in quoted),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _latex_line(row: LeaderboardRow) -> str:
    value = significant(row.value) or "--"
    cells = [
        "--" if row.rank is None else str(row.rank),
        _escaped(
            f"{row.method}/{row.variant}"
            + (" (baseline)" if row.is_baseline else "")
            + (" (cut short)" if row.is_cut_short else "")
        ),
        _escaped(row.given),
        rf"\textbf{{{value}}}" if row.rank == 1 else value,
        "--" if row.low is None else f"[{significant(row.low)}, {significant(row.high)}]",
        str(row.seeds),
        row.coverage,
        significant(row.seconds) or "--",
    ]
    return " & ".join(cells) + r" \\"


def _latex_quoted(quoted: Quoted) -> str:
    name = _escaped(f"{quoted.method} (quoted, {quoted.gap}: {quoted.source})")
    return rf"-- & \emph{{{name}}} & & {quoted.shown} & -- & -- & -- & -- \\"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)

"""Prints leaderboard rows as tables on the terminal."""

import sys
from collections.abc import Sequence
from itertools import groupby

from rich.console import Console

from deep3dmap.cli.long_table import Line, print_long
from deep3dmap.cli.printable import printable, shown
from deep3dmap.cli.tables import bare_table
from deep3dmap.results.across import Ranking
from deep3dmap.results.board_row import LeaderboardRow
from deep3dmap.results.export import significant
from deep3dmap.results.quoted import NO_QUOTED_VALUES, Quoted, QuotedValues
from deep3dmap.results.row_facts import name_scenes

WIDTH = 100
HEADS = ("#", "method", "inputs", "value", "95 % interval", "p", "seeds", "scenes", "seconds", "MB")
# Columns that may be folded, with their maximum widths.
TEXTS = {"method": 30, "inputs": WIDTH}


def console() -> Console:
    """Return a console as wide as the terminal, or 100 columns wide in a pipe."""
    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False)


def print_rows(rows: Sequence[LeaderboardRow], uri: str, quoted: QuotedValues = NO_QUOTED_VALUES) -> None:
    """Print leaderboard rows as tables, at most 100 columns wide in a pipe, together with published results."""
    out = console()
    if not rows:
        out.print(f"no benchmark results in {uri} yet; run `deep3dmap benchmark suite=face tier=smoke`", soft_wrap=True)
        return
    for key, own in groupby(rows, key=lambda row: (row.group, row.metric)):
        _print_group(out, list(own), quoted.get(key, ()))


def print_ranking(ranking: Ranking) -> None:
    """Print mean ranks across tables, and the groups of methods that do not differ significantly."""
    out = console()
    for name in ranking.boards:
        out.print(f"[dim]{shown(name)}[/dim]")
    if not ranking.names:
        out.print("no method appears in all of these tables")
    table = bare_table()
    table.add_column("mean rank", justify="right")
    table.add_column("method", overflow="fold")
    for name, rank in zip(ranking.names, ranking.mean_ranks):
        table.add_row(f"{rank:.2f}", shown(name))
    if ranking.names:
        out.print(table)
    for clique in ranking.cliques:
        out.print(f"no significant difference: {shown(', '.join(clique))}")
    if ranking.critical_difference is not None:
        out.print(
            f"critical difference {ranking.critical_difference:.2f} (Nemenyi), p of Friedman's test {ranking.p_value:.2g}"
        )
    if ranking.left_out:
        out.print(f"[dim]not in all tables: {shown(', '.join(ranking.left_out))}[/dim]")


def _print_group(out: Console, rows: list[LeaderboardRow], quoted: Sequence[Quoted]) -> None:
    first = rows[0]
    arrow = {"up": "higher is better", "down": "lower is better"}.get(first.better, "")
    data = shown(f"{first.dataset}/{first.dataset_variant}")
    version = f"data {shown(first.dataset_version[:8])}, protocol {first.protocol_version}"
    out.print(f"[bold]{shown(first.suite)}[/bold] · tier {shown(first.tier)} · {data} ({version})")
    measured = shown(f"{first.metric} in {first.unit}" if first.unit else first.metric)
    out.print(f"{measured}, {arrow}; 95 % interval over scenes and seeds")
    lines = [_line(row) for row in rows]
    lines += [Line(["", printable(one.method), "", one.shown, *[""] * 6], "quoted", "italic") for one in quoted]
    print_long(out, HEADS, lines, TEXTS)
    for one in quoted:
        out.print(f"[italic]{shown(one.method)}[/italic], quoted ({one.gap}): {shown(one.provenance)}")
    for line in _footnotes(rows):
        out.print(line)
    out.print()


def _line(row: LeaderboardRow) -> Line:
    pareto = "*" if row.on_pareto_front else " "
    cells = [
        "-" if row.rank is None else str(row.rank),
        printable(f"{row.method}/{row.variant}"),
        printable(row.given),
        significant(row.value) or "-",
        "" if row.low is None else f"{significant(row.low)} - {significant(row.high)}",
        "" if row.p_value is None else f"{row.p_value:.2g}",
        f"{row.seeds}{'?' if row.is_provisional and row.seeds else ' '}",
        row.coverage,
        "" if row.seconds is None else significant(row.seconds, 3) + pareto,
        _memory(row),
    ]
    note = ", ".join(["baseline"] * row.is_baseline + ["cut short"] * row.is_cut_short)
    return Line(cells, note, "bold" if row.rank == 1 else "dim" if row.is_cut_short else "")


def _memory(row: LeaderboardRow) -> str:
    if row.peak_ram_mb is None:
        return ""
    return f"{row.peak_ram_mb:.0f}" + (f"+{row.peak_gpu_mb:.0f}" if row.peak_gpu_mb else "")


def _footnotes(rows: Sequence[LeaderboardRow]) -> list[str]:
    lines = []
    for row in rows:
        name = shown(f"{row.method}/{row.variant}")
        failed = f"{row.failed} failed run{'s' if row.failed > 1 else ''}" if row.failed else ""
        if failed or row.error:
            lines.append(f"[red]{name}[/red]: {shown(', '.join(filter(None, [failed, row.error])))}")
        if row.missing_scenes:
            unranked = "" if row.rank is not None or row.is_cut_short else "too few scenes to be ranked; "
            lines.append(f"{name}: {unranked}not scored on {shown(name_scenes(row.missing_scenes))}")
        if row.note:
            lines.append(f"{name}: {shown(row.note)}")
    if any(row.peak_gpu_mb for row in rows):
        lines.append("[dim]MB: peak memory, with GPU memory after the plus[/dim]")
    if any(row.is_provisional and row.seeds for row in rows):
        lines.append("[dim]? fewer than three seeds: provisional[/dim]")
    if any(row.on_pareto_front for row in rows):
        lines.append("[dim]* no other entry is both better and faster[/dim]")
    ranks = [row.rank for row in rows if row.rank is not None]
    if len(set(ranks)) < len(ranks):
        lines.append("[dim]#: entries that do not differ significantly share a rank[/dim]")
    if any(row.p_value is not None for row in rows):
        lines.append("[dim]p: compared with the first entry over scenes and seeds, adjusted for all pairs[/dim]")
    return lines

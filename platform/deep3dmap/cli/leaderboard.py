"""`deep3dmap leaderboard`: rank the methods in a result store."""

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.results.export import significant, to_csv, to_json, to_latex
from deep3dmap.results.leaderboard import LeaderboardRow, leaderboard
from deep3dmap.results.store import ResultStore

EXAMPLES = """\
  deep3dmap leaderboard
  deep3dmap leaderboard --suite face --all-metrics
  deep3dmap leaderboard results=s3://bucket/results --format json
  deep3dmap leaderboard --suite indoor --tier quick --format latex > indoor.tex"""
DESCRIPTION = """\
Rank the methods of a result store, per suite, tier and dataset. A value is the mean over seeds of the mean over
scenes, with its 95 % bootstrap interval; numbers of different protocol or data versions are never mixed.

keys:
  results=     the store, a folder or a URI (default: results/)"""
WRITERS = {"json": to_json, "csv": to_csv, "latex": to_latex}
WIDTH = 100
LONGEST_NAME = 30


def main(argv: list[str]) -> int:
    """Run the verb; an empty store is no mistake."""
    parser = VerbParser("leaderboard", DESCRIPTION, EXAMPLES)
    parser.add_argument("--suite", help="only this suite")
    parser.add_argument("--dataset", help="only this dataset: NAME or NAME/VARIANT")
    parser.add_argument("--tier", help="only this tier")
    parser.add_argument("--metric", help="rank by this metric (default: each suite's headline)")
    parser.add_argument("--all-metrics", action="store_true", help="one table per metric")
    parser.add_argument("--format", choices=("table", *WRITERS), default="table", help="what to print (default: table)")
    flags, pairs = parser.parse(argv)
    store = existing_store(pairs)
    with plain_warnings():
        return _show(store, flags)


def _show(store: ResultStore, flags: argparse.Namespace) -> int:
    metric = "all" if flags.all_metrics else flags.metric
    _check_names(store, suite=flags.suite, dataset=flags.dataset, tier=flags.tier)
    rows = leaderboard(store, suite=flags.suite, dataset=flags.dataset, tier=flags.tier, metric=metric)
    if metric and not rows:
        _check_metric(store, metric, flags.suite)
    if flags.format == "table":
        print_rows(rows, store.uri)
    else:
        sys.stdout.write(WRITERS[flags.format](rows).rstrip("\n") + "\n")
    return 0


def print_leaderboard(store: ResultStore, suite: str | None = None, tier: str | None = None) -> None:
    """Print one table per suite, tier and dataset."""
    print_rows(leaderboard(store, suite=suite, tier=tier), store.uri)


def existing_store(pairs: Sequence[str]) -> ResultStore:
    """Open the store that `results=` names for reading; raises UserError for another key or a folder that is not there."""
    uri = "results"
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key != "results" or not value:
            raise UserError(f"'{pair}': the only key here is results=URI")
        uri = value
    store = ResultStore(uri)
    if store.storage.local and not store.storage.local.is_dir():
        raise UserError(f"results={uri}: there is no folder {store.uri}; run a benchmark first, or give results=FOLDER")
    return store


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Show warnings, such as on damaged files, as one line each and once."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        seen: set[str] = set()

        def show(message: Warning | str, *_: object) -> None:
            if str(message) not in seen:
                print(f"deep3dmap: {message}", file=sys.stderr)
            seen.add(str(message))

        warnings.showwarning = show  # type: ignore[assignment]
        yield


def print_rows(rows: Sequence[LeaderboardRow], uri: str) -> None:
    """Print leaderboard rows as tables, at most 100 columns wide."""
    console = Console(width=WIDTH if not sys.stdout.isatty() else min(WIDTH, Console().width), highlight=False)
    if not rows:
        console.print(f"no benchmark results in {uri} yet; run `deep3dmap benchmark suite=face tier=smoke`", soft_wrap=True)
        return
    for _, own in groupby(rows, key=lambda row: (row.group, row.metric)):
        _print_group(console, list(own))


def _print_group(console: Console, rows: list[LeaderboardRow]) -> None:
    first = rows[0]
    arrow = {"up": "higher is better", "down": "lower is better"}.get(first.better, "")
    console.print(
        f"[bold]{escape(first.suite)}[/bold] · tier {first.tier} · {first.dataset}/{first.dataset_variant} "
        f"(data {first.dataset_version[:8]}, protocol {first.protocol_version})"
    )
    console.print(f"{first.metric} in {escape(first.unit) or '1'}, {arrow}; 95 % interval over seeds and scenes")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("#", justify="right", no_wrap=True)
    longest = max(len(f"{row.method}/{row.variant}") for row in rows)
    table.add_column("method", overflow="fold", max_width=LONGEST_NAME, no_wrap=longest <= LONGEST_NAME)
    table.add_column("inputs", overflow="fold")
    for name in ("value", "95 % interval", "p", "seeds", "scenes", "seconds", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row), style="bold" if row.rank == 1 else None)
    console.print(table)
    for line in _footnotes(rows):
        console.print(line)
    console.print()


def _cells(row: LeaderboardRow) -> list[str]:
    pareto = "*" if row.on_pareto_front else " "
    return [
        "-" if row.rank is None else str(row.rank),
        escape(f"{row.method}/{row.variant}") + ("\n[dim]  baseline[/dim]" if row.is_baseline else ""),
        escape(", ".join(row.inputs)),
        significant(row.value) or "-",
        "" if row.low is None else f"{significant(row.low)} - {significant(row.high)}",
        "" if row.p_value is None else f"{row.p_value:.2g}",
        str(row.seeds),
        str(row.scenes),
        "" if row.seconds is None else significant(row.seconds, 3) + pareto,
        _memory(row),
    ]


def _memory(row: LeaderboardRow) -> str:
    if row.peak_ram_mb is None:
        return ""
    return f"{row.peak_ram_mb:.0f}" + (f"+{row.peak_gpu_mb:.0f}" if row.peak_gpu_mb else "")


def _footnotes(rows: Sequence[LeaderboardRow]) -> list[str]:
    lines = []
    for row in rows:
        name = escape(f"{row.method}/{row.variant}")
        failed = f"{row.failed} failed run{'s' if row.failed > 1 else ''}, " if row.failed else ""
        if row.error:
            lines.append(f"[red]{name}[/red]: {failed}{escape(row.error)}")
        if row.note:
            lines.append(f"{name}: {escape(row.note)}")
    if any(row.peak_gpu_mb for row in rows):
        lines.append("[dim]MB: peak memory, GPU after the plus[/dim]")
    if any(row.on_pareto_front for row in rows):
        lines.append(
            "[dim]* nothing is both better and faster. p: signed-rank test against the first, over the same scenes[/dim]"
        )
    return lines


def _check_names(store: ResultStore, **wanted: str | None) -> None:
    runs = store.runs()
    known = runs[runs.suite != ""]
    for column, value in wanted.items():
        name = (value or "").partition("/")[0] if column == "dataset" else value
        if value is not None and not known.empty and name not in set(known[column]):
            raise unknown(f"{column} in {store.uri}:", str(value), set(known[column]))


def _check_metric(store: ResultStore, metric: str, suite: str | None) -> None:
    present = {row.metric for row in leaderboard(store, suite=suite, metric="all")}
    if present and metric not in present | {"all"}:
        raise unknown(f"metric in {store.uri}:", metric, present)

"""The actions of `deep3dmap results` on a whole store: export, verify, merge, compact."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from deep3dmap.cli.places import work_folder
from deep3dmap.cli.printable import printable
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.results.board import Board
from deep3dmap.results.compact import compact
from deep3dmap.results.detail import joined_table
from deep3dmap.results.export import csv_cell, to_latex
from deep3dmap.results.html_page import to_html
from deep3dmap.results.leaderboard import boards, collect_quoted_values
from deep3dmap.results.merge import merge
from deep3dmap.results.schema import JSON_COLUMNS
from deep3dmap.results.store import ResultStore
from deep3dmap.results.verify import Problem, set_aside, verify


def export(store: ResultStore, file: Path, suite: str | None) -> int:
    """Write the runs with their metrics, or the leaderboard, in the format given by the file's extension."""
    runs = select_suite(store, store.runs(), suite)
    if runs.empty:
        raise _empty_store_error(store)
    writers: dict[str, Callable[[], object]] = {
        ".csv": lambda: _escape_for_spreadsheet(joined_table(store, runs)).to_csv(file, index=False),
        ".json": lambda: file.write_text(to_json_records(joined_table(store, runs))),
        ".parquet": lambda: joined_table(store, runs).to_parquet(file, index=False),
        ".tex": lambda: file.write_text(_latex(_load_boards(store, suite))),
        ".html": lambda: file.write_text(to_html(_load_boards(store, suite, metric="all"))),
    }
    if file.suffix not in writers:
        raise UserError(f"{file}: the extension determines the format; use one of {', '.join(writers)}")
    try:
        writers[file.suffix]()
    except OSError as error:
        raise UserError(f"{file}: cannot write: {error.strerror or error}") from error
    print(f"{len(runs)} runs in {file}", file=sys.stderr)
    return 0


def _load_boards(store: ResultStore, suite: str | None, metric: str | None = None) -> list[Board]:
    found = boards(store, suite, metric=metric)
    if not found:
        raise _empty_store_error(store)
    return found


def _empty_store_error(store: ResultStore) -> UserError:
    first = f"deep3dmap benchmark suite=face tier=smoke results={store.uri}"
    return UserError(f"{store.uri} contains no benchmark results, so there is nothing to export; run `{first}` first")


def check(store: ResultStore, *, as_json: bool, aside: bool, quick: bool) -> int:
    """Report files that differ from what was written, and results that would differ today; returns 1 if there are any.

    quick: check the files only.
    """
    problems, unchecked = verify(store), dict[str, int]()
    moved = set_aside(store, problems) if aside else []
    if not quick:
        later, unchecked = _find_changed_runs(store)
        problems += later
    if as_json:
        report = {"problems": [asdict(problem) for problem in problems], "set_aside": moved, "unchecked": unchecked}
        print(json.dumps(report, indent=1))
        return 1 if problems else 0
    for problem in problems:
        print(printable(f"{problem.kind:8} {problem}"))
    for why, count in unchecked.items():
        print(printable(f"not checked for later changes, {count} run{'s' if count > 1 else ''}: {why}"))
    if problems:
        print(_advice(problems, f"moved to {store.uri}/damaged" if aside else "`results verify --set-aside` moves them away"))
    else:
        attempts = len(store.runs(newest_only=False))
        print(f"{store.uri}: all files are intact, {attempts} attempts with their artifacts")
    return 1 if problems else 0


def _find_changed_runs(store: ResultStore) -> tuple[list[Problem], dict[str, int]]:
    """Return the runs that are stale or scored differently today, and {reason: number of runs} that could not be checked."""
    # Imported here because checking the hashes alone needs no torch.
    from deep3dmap.runs.rescoring import rescore
    from deep3dmap.runs.staleness import find_stale_runs

    freshness = find_stale_runs(store, work_folder(store))
    rescored = rescore(store, freshness)
    return [*freshness.stale, *rescored], freshness.unchecked


def _advice(problems: Sequence[Problem], damaged_advice: str) -> str:
    counts = Counter(problem.kind for problem in problems)
    damaged = f"; damaged files: {damaged_advice}" if counts["damaged"] else ""
    return (
        f"{', '.join(f'{count} {kind}' for kind, count in counts.items())}{damaged}; `benchmark --resume` runs what is missing"
    )


def merge_stores(store: ResultStore, uri: str, as_json: bool) -> int:
    """Merge another store into this one; returns 1 if there are conflicts."""
    other = ResultStore(uri)
    if other.storage.local and not other.storage.local.is_dir():
        raise UserError(f"there is no folder {other.uri}")
    done = merge(store, other)
    if as_json:
        print(json.dumps(asdict(done), indent=1))
    else:
        for old, new in done.renumbered.items():
            print(f"{old} is a different attempt here; renumbered to {new}")
        for conflict in done.conflicts:
            print(printable(f"conflict: {conflict}"))
        print(f"{done.new} new attempts, {done.files} new files, {done.known} already present, {len(done.conflicts)} conflicts")
    return 1 if done.conflicts else 0


def compact_store(store: ResultStore) -> int:
    """Compact a store."""
    done = compact(store)
    if done.refused:
        raise UserError(f"{store.uri} is being compacted by {done.refused}")
    for name in done.damaged:
        print(printable(f"{name} is damaged and was left unchanged"), file=sys.stderr)
    print(f"merged {done.files} files into {done.segments}" if done.files else "there is nothing to compact")
    return 0


def to_json_records(frame: pd.DataFrame) -> str:
    """Return the rows as JSON, with the columns stored as JSON text decoded."""
    unfolded = frame.assign(**{name: frame[name].map(json.loads) for name in JSON_COLUMNS})
    return str(unfolded.to_json(orient="records", date_format="iso", indent=1))


def select_suite(store: ResultStore, runs: pd.DataFrame, suite: str | None) -> pd.DataFrame:
    """Return the runs of a suite; raises UserError if it has none."""
    if suite is None or runs.empty:
        return runs
    if suite not in set(runs.suite):
        raise unknown(f"suite in {store.uri}:", suite, set(runs.suite) - {""})
    return runs[runs.suite == suite]


def _latex(found: list[Board]) -> str:
    return to_latex([row for board in found for row in board.rows], collect_quoted_values(found))


def _escape_for_spreadsheet(table: pd.DataFrame) -> pd.DataFrame:
    texts = table.select_dtypes(exclude=["number", "bool", "datetimetz"]).columns
    return table.assign(**{name: table[name].map(csv_cell) for name in texts})

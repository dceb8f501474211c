"""`deep3dmap leaderboard`: rank the methods in a result store."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.results.place import local_folder

if TYPE_CHECKING:
    from deep3dmap.results.board import Board
    from deep3dmap.results.store import ResultStore

EXAMPLES = """\
  deep3dmap leaderboard
  deep3dmap leaderboard --suite face --all-metrics
  deep3dmap leaderboard results=s3://bucket/results --format json
  deep3dmap leaderboard --suite indoor --tier quick --format latex > indoor.tex"""
DESCRIPTION = """\
Rank the methods in a result store, per suite, tier and dataset. Values are means over scenes and seeds, with 95 %
intervals; entries that do not differ significantly share a rank, and results of different protocol or data versions
are never mixed.

keys:
  results=     the result store, a folder or a URI (default: results/)"""
FORMATS = ("table", "json", "csv", "latex")


def main(argv: list[str]) -> int:
    """Run the verb; an empty store is not an error."""
    parser = VerbParser("leaderboard", DESCRIPTION, EXAMPLES)
    parser.add_argument("--suite", help="only this suite")
    parser.add_argument("--dataset", help="only this dataset: NAME or NAME/VARIANT")
    parser.add_argument("--tier", help="only this tier")
    parser.add_argument("--metric", help="rank by this metric (default: each suite's headline)")
    parser.add_argument("--all-metrics", action="store_true", help="one table per metric")
    parser.add_argument("--across", action="store_true", help="print mean ranks over all tables, of the methods present in all")
    parser.add_argument("--format", choices=FORMATS, default="table", help="output format (default: table)")
    flags, pairs = parser.parse(argv)
    store = existing_store(pairs)
    return _print_boards(store, flags)


def _print_boards(store: "ResultStore", flags: argparse.Namespace) -> int:
    from deep3dmap.cli.result_tables import print_rows
    from deep3dmap.results.export import to_csv, to_json, to_latex
    from deep3dmap.results.leaderboard import boards, collect_quoted_values

    if flags.across and flags.format not in ("table", "json"):
        raise UserError("--across supports only --format table and json")
    metric = "all" if flags.all_metrics else flags.metric
    _print_slow_read_note(store)
    _check_names(store, suite=flags.suite, dataset=flags.dataset, tier=flags.tier)
    found = boards(store, flags.suite, flags.dataset, flags.tier, metric)
    if metric and not found:
        _check_metric(store, metric, flags.suite)
    if flags.across:
        return _print_ranking_across(found, flags.format)
    rows = [row for board in found for row in board.rows]
    if flags.format == "csv":
        sys.stdout.write(to_csv(rows))
    elif flags.format == "table":
        print_rows(rows, store.uri, collect_quoted_values(found))
    else:
        write = to_json if flags.format == "json" else to_latex
        sys.stdout.write(write(rows, collect_quoted_values(found)).rstrip("\n") + "\n")
    return 0


def _print_ranking_across(found: "Sequence[Board]", form: str) -> int:
    import json
    from dataclasses import asdict

    from deep3dmap.cli.result_tables import print_ranking
    from deep3dmap.results.across import rank_across

    ranking = rank_across(found)
    if form == "json":
        print(json.dumps(asdict(ranking) | {"cliques": ranking.cliques}, indent=1))
    else:
        print_ranking(ranking)
    return 0


def _print_slow_read_note(store: "ResultStore") -> None:
    from deep3dmap.results.compact import WORTH_COMPACTING

    files = store.unread()
    if files > WORTH_COMPACTING:
        advice = f"`deep3dmap results compact results={store.uri}` speeds this up"
        print(f"deep3dmap: reading {files:,} files of single attempts; {advice}", file=sys.stderr, flush=True)


def print_leaderboard(store: "ResultStore", suite: str | None = None) -> None:
    """Print one table per suite, tier and dataset."""
    from deep3dmap.cli.result_tables import print_rows
    from deep3dmap.results.leaderboard import boards, collect_quoted_values

    found = boards(store, suite=suite)
    print_rows([row for board in found for row in board.rows], store.uri, collect_quoted_values(found))


def existing_store(pairs: Sequence[str]) -> "ResultStore":
    """Open the store given by `results=` for reading. Raises UserError as `existing_location` does."""
    uri = existing_location(pairs)
    from deep3dmap.results.store import ResultStore

    return ResultStore(uri)


def existing_location(pairs: Sequence[str]) -> str:
    """Return the location of the store given by `results=`: a URI, or the absolute path of a folder.

    Raises UserError for any other key, a missing folder, or an unsupported URI.
    """
    uri = "results"
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key != "results" or not value:
            raise UserError(f"'{pair}': the only key accepted here is results=URI")
        uri = value
    folder = local_folder(uri)
    if folder is None:
        from deep3dmap.results.storage import Storage

        return Storage(uri).uri
    if not folder.is_dir():
        raise UserError(f"results={uri}: there is no folder {folder}; run a benchmark first, or give results=FOLDER")
    return str(folder)


def _check_names(store: "ResultStore", **wanted: str | None) -> None:
    if not any(wanted.values()):
        return
    runs = store.runs()
    known = runs[runs.suite != ""]
    for column, value in wanted.items():
        present = set(known[column])
        whole = set(known.dataset + "/" + known.dataset_variant) if column == "dataset" else set()
        if value is not None and present and value not in present | whole:
            name = value.partition("/")[0] if column == "dataset" else value
            raise unknown(f"{column} in {store.uri}:", name, present)


def _check_metric(store: "ResultStore", metric: str, suite: str | None) -> None:
    from deep3dmap.results.leaderboard import leaderboard

    present = {row.metric for row in leaderboard(store, suite=suite, metric="all")}
    if present and metric not in present | {"all"}:
        raise unknown(f"metric in {store.uri}:", metric, present)

"""The actions of `deep3dmap results`; those on single runs are defined here."""

import argparse
import json
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

import pandas as pd
from rich.table import Table

from deep3dmap.cli.printable import printable, shown
from deep3dmap.cli.result_tables import console
from deep3dmap.cli.store_actions import check, compact_store, export, merge_stores, select_suite, to_json_records
from deep3dmap.cli.tables import bare_table
from deep3dmap.core.errors import UserError, nearest
from deep3dmap.results.detail import run_detail
from deep3dmap.results.export import significant
from deep3dmap.results.store import ResultStore

SCENES_SHOWN = 40
METRICS_PER_TABLE = 4
_ARGUMENTS = {
    "show": "RUN_ID (`deep3dmap results ls` lists them)",
    "export": "FILE.csv, .json, .parquet, .tex or .html",
    "merge": "STORE, a folder or a URI",
}


def act(store: ResultStore, flags: argparse.Namespace) -> int:
    """Run one action; returns the exit code."""
    if flags.action == "ls":
        return _print_runs(store, flags.suite, flags.json)
    if flags.action == "verify":
        return check(store, as_json=flags.json, aside=flags.set_aside, quick=flags.quick)
    if flags.action == "compact":
        return compact_store(store)
    if not flags.argument:
        raise UserError(f"results {flags.action} needs a {_ARGUMENTS[flags.action]}")
    if flags.action == "show":
        return _print_run(store, flags.argument, flags.json)
    if flags.action == "merge":
        return merge_stores(store, flags.argument, flags.json)
    return export(store, Path(flags.argument), flags.suite)


# -- ls ---------------------------------------------------------------------------------------------------------------


def _print_runs(store: ResultStore, suite: str | None, as_json: bool) -> int:
    runs = select_suite(store, store.runs(), suite)
    if as_json:
        print(to_json_records(runs))
    elif runs.empty:
        print(f"no runs in {store.uri} yet; run `deep3dmap benchmark suite=face tier=smoke`")
    else:
        console().print(_run_table(runs))
    return 0


def _run_table(runs: pd.DataFrame) -> Table:
    table = bare_table()
    for name in ("run", "suite", "tier", "method", "dataset", "seed", "status", "started (UTC)"):
        table.add_column(name, no_wrap=name != "dataset", overflow="fold")
    for row in runs.itertuples():
        colour = "green" if row.status == "ok" else "red"
        table.add_row(
            str(row.run_id)[:8],
            shown(str(row.suite)) or "(training)",
            shown(str(row.tier)),
            shown(f"{row.method}/{row.variant}"),
            shown(f"{row.dataset}/{row.dataset_variant}"),
            str(row.seed),
            f"[{colour}]{row.status}[/{colour}]",
            f"{row.started_at:%Y-%m-%d %H:%M}",
        )
    return table


# -- show -------------------------------------------------------------------------------------------------------------


def _print_run(store: ResultStore, text: str, as_json: bool) -> int:
    run_id = find_run(store, text)
    detail = run_detail(store, run_id)
    if as_json:
        print(json.dumps(detail, indent=1, default=str))
        return 0
    out = console()
    facts = bare_table(show_header=False)
    for name, value in detail["facts"].items():
        facts.add_row(name, shown(str(value)))
    out.print(facts)
    if detail["error"]:
        out.print(f"\n[red]error[/red]\n{shown(detail['error'])}")
    for table in _metric_tables(detail["metrics"]):
        out.print("", table, sep="\n")
    if len(detail["metrics"]) > SCENES_SHOWN:
        out.print(f"[dim]{len(detail['metrics']) - SCENES_SHOWN} more scenes: --json shows all[/dim]")
    for picture in detail["pictures"]:
        print(printable(picture))
    return 0


def _metric_tables(scenes: dict[str, dict[str, float | None]]) -> Iterator[Table]:
    names = sorted({name for values in scenes.values() for name in values})
    for begin in range(0, len(names), METRICS_PER_TABLE):
        columns = names[begin : begin + METRICS_PER_TABLE]
        table = bare_table()
        table.add_column("scene", overflow="fold")
        for name in columns:
            table.add_column(name, justify="right", overflow="fold")
        for scene, values in list(scenes.items())[:SCENES_SHOWN]:
            cells = [significant(values[name]) or "not finite" if name in values else "" for name in columns]
            if any(cells):
                table.add_row(shown(scene) or "(whole run)", *cells)
        yield table


def find_run(store: ResultStore, text: str) -> str:
    """Return the id that starts with `text`; raises UserError if none or several do."""
    ids = set(store.runs().run_id)
    found = sorted(run_id for run_id in ids if run_id.startswith(text))
    if not found:
        if not ids:
            raise UserError(f"no runs in {store.uri} yet")
        close = nearest(text, ids) if get_close_matches(text, ids) else "; `deep3dmap results ls` lists them"
        raise UserError(f"there is no run '{text}' in {store.uri}{close}")
    if len(found) > 1:
        raise UserError(f"'{text}' matches {len(found)} runs: {', '.join(found[:5])}; give a longer prefix")
    return found[0]

"""What `deep3dmap results` does with the runs of a store."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path

import pandas as pd
from rich.table import Table

from deep3dmap.cli.printable import printable, shown
from deep3dmap.cli.result_tables import console
from deep3dmap.core.errors import UserError, nearest, unknown
from deep3dmap.results.detail import joined_table, run_detail
from deep3dmap.results.export import significant
from deep3dmap.results.store import ResultStore

SCENES_SHOWN = 40
METRICS_ABREAST = 4
JSON_COLUMNS = ("config", "packages", "hardware", "backends")


def act(store: ResultStore, flags: argparse.Namespace) -> int:
    """Carry out one action; returns the exit code."""
    if flags.action == "ls":
        return _list(store, flags.suite, flags.json)
    if flags.action == "verify":
        return _verify(store, flags.json)
    if not flags.argument:
        wanted = "RUN_ID (`deep3dmap results ls` lists them)" if flags.action == "show" else "FILE.csv, .json or .parquet"
        raise UserError(f"results {flags.action} needs a {wanted}")
    if flags.action == "show":
        return _show(store, flags.argument, flags.json)
    return _export(store, Path(flags.argument), flags.suite)


# -- ls ---------------------------------------------------------------------------------------------------------------


def _list(store: ResultStore, suite: str | None, as_json: bool) -> int:
    runs = _of_suite(store, store.runs(), suite)
    if as_json:
        print(_records(runs))
    elif runs.empty:
        print(f"no runs in {store.uri} yet; run `deep3dmap benchmark suite=face tier=smoke`")
    else:
        console().print(_run_table(runs))
    return 0


def _run_table(runs: pd.DataFrame) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
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


def _of_suite(store: ResultStore, runs: pd.DataFrame, suite: str | None) -> pd.DataFrame:
    if suite is None or runs.empty:
        return runs
    if suite not in set(runs.suite):
        raise unknown(f"suite in {store.uri}:", suite, set(runs.suite) - {""})
    return runs[runs.suite == suite]


# -- show -------------------------------------------------------------------------------------------------------------


def _show(store: ResultStore, text: str, as_json: bool) -> int:
    run_id = find_run(store, text)
    detail = run_detail(store, run_id)
    if as_json:
        print(json.dumps(detail, indent=1, default=str))
        return 0
    out = console()
    facts = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
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
    for begin in range(0, len(names), METRICS_ABREAST):
        abreast = names[begin : begin + METRICS_ABREAST]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("scene", overflow="fold")
        for name in abreast:
            table.add_column(name, justify="right", overflow="fold")
        for scene, values in list(scenes.items())[:SCENES_SHOWN]:
            cells = [significant(values[name]) or "not finite" if name in values else "" for name in abreast]
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
        raise UserError(f"'{text}' is the start of {len(found)} runs: {', '.join(found[:5])}; give more of it")
    return found[0]


# -- export and verify ------------------------------------------------------------------------------------------------


def _export(store: ResultStore, file: Path, suite: str | None) -> int:
    table = joined_table(store, _of_suite(store, store.runs(), suite))
    writers: dict[str, Callable[[], object]] = {
        ".csv": lambda: table.to_csv(file, index=False),
        ".json": lambda: file.write_text(_records(table)),
        ".parquet": lambda: table.to_parquet(file, index=False),
    }
    if file.suffix not in writers:
        raise UserError(f"{file}: the ending decides the format; use one of {', '.join(writers)}")
    try:
        writers[file.suffix]()
    except OSError as error:
        raise UserError(f"{file}: cannot write: {error.strerror or error}") from error
    print(f"{len(table)} rows in {file}", file=sys.stderr)
    return 0


def _verify(store: ResultStore, as_json: bool) -> int:
    damaged = store.damaged()
    if as_json:
        print(json.dumps({"damaged": damaged}, indent=1))
    elif damaged:
        print("\n".join(damaged))
        print(f"{len(damaged)} damaged; delete the files and run the benchmark with --resume to make them anew")
    else:
        print(f"{store.uri}: every file is readable, {len(store.runs(newest_only=False))} attempts")
    return 1 if damaged else 0


def _records(frame: pd.DataFrame) -> str:
    """Return the rows as JSON, with what the tables keep as JSON text unfolded."""
    unfolded = frame.assign(**{name: frame[name].map(json.loads) for name in JSON_COLUMNS})
    return str(unfolded.to_json(orient="records", date_format="iso", indent=1))

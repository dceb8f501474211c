"""Looks for what is not as it was written: damaged files, edited rows, missing and changed artifacts, doubled attempts."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa

from deep3dmap.results.attempt_numbers import attempt_name
from deep3dmap.results.digest import bytes_digest
from deep3dmap.results.schema import SCHEMA_VERSION, TABLES, RunRow, arrow_schema
from deep3dmap.results.store import ResultStore, attempt_digest
from deep3dmap.results.table_files import DAMAGE, by_attempt, decode_table, uncoded

DAMAGED_FOLDER = "damaged"


@dataclass(frozen=True)
class Problem:
    """Something that is not as it was written.

    kind: damaged, edited, missing, changed or doubled. where: a file or an attempt.
    """

    kind: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def verify(store: ResultStore) -> list[Problem]:
    """Read every file of a store, its artifacts too, and return what is not as it was written."""
    found = [Problem("damaged", *line.split(": ", 1)) for line in store.damaged()]
    whole = _readable(store)
    found += _doubled(whole["runs"])
    tables = {name: by_attempt(*(table for _, table in parts)) for name, parts in whole.items()}
    for name, rows in tables["runs"].items():
        found += _of_attempt(store, name, rows, {table: tables[table].get(name) for table in ("files", "metrics", "curves")})
    return found


def set_aside(store: ResultStore, problems: list[Problem]) -> list[str]:
    """Move damaged files of tables out of the way, to the folder `damaged`; returns their new names."""
    moved = []
    for problem in problems:
        if problem.kind == "damaged":
            target = f"{DAMAGED_FOLDER}/{problem.where}"
            store.storage.write(target, store.storage.read(problem.where))
            store.storage.remove(problem.where)
            moved.append(target)
    return moved


def _readable(store: ResultStore) -> dict[str, list[tuple[str, pa.Table]]]:
    found: dict[str, list[tuple[str, pa.Table]]] = {name: [] for name in TABLES}
    for name, parts in found.items():
        for file in store.storage.names(f"tables/{name}", ".parquet"):
            try:
                table, _ = decode_table(store.storage.read(f"tables/{name}/{file}"), name, file)
            except DAMAGE:
                continue
            parts.append((file, uncoded(table)))
    return found


def _doubled(parts: list[tuple[str, pa.Table]]) -> Iterator[Problem]:
    seen: dict[tuple[str, int], tuple[str, Any]] = {}
    for file, table in parts:
        keys = zip(table["run_id"].to_pylist(), table["attempt"].to_pylist())
        for key, row in zip(keys, table.drop_columns("schema_version").to_pylist()):
            before = seen.setdefault(key, (file, row))
            if before[1] != row:
                yield Problem("doubled", attempt_name(*key), f"differs in tables/runs/{before[0]} and tables/runs/{file}")


def _of_attempt(store: ResultStore, name: str, row: pa.Table, own: dict[str, pa.Table | None]) -> Iterator[Problem]:
    (values,) = row.to_pylist()
    if not values["content_hash"] or values["schema_version"] != SCHEMA_VERSION:
        if own["metrics"] is None and values["status"] == "ok":
            yield Problem("missing", name, "its metrics are not there")
        return
    tables = {table: arrow_schema(TABLES[table]).empty_table() if rows is None else rows for table, rows in own.items()}
    run = RunRow(**{field.name: values[field.name] for field in fields(RunRow)})
    if attempt_digest(run, tables) != values["content_hash"]:
        gone = "its metrics are not there" if own["metrics"] is None and values["status"] == "ok" else ""
        yield Problem("missing" if gone else "edited", name, gone or "its rows are not those that were written")
    for file in tables["files"].to_pylist():
        if problem := _of_artifact(store, run, file):
            yield problem


def _of_artifact(store: ResultStore, run: RunRow, file: dict[str, Any]) -> Problem | None:
    where = f"{store.artifacts_name(run.run_id, run.attempt)}/{file['name']}"
    try:
        data = store.storage.read(where)
    except FileNotFoundError:
        return Problem("missing", where, "is not there")
    except DAMAGE as error:
        return Problem("changed", where, str(error).splitlines()[0])
    return None if bytes_digest(data) == file["sha256"] else Problem("changed", where, "is not the file that was written")

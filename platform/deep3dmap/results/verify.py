"""Integrity check of a store: damaged files, edited rows, missing or changed artifacts, duplicate attempts."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa

from deep3dmap.core.errors import UserError
from deep3dmap.results.attempt_numbers import attempt_name
from deep3dmap.results.digest import bytes_digest
from deep3dmap.results.parquet_files import decode
from deep3dmap.results.reading_files import DAMAGE, decode_table, reason_of
from deep3dmap.results.schema import SCHEMA_VERSION, TABLES, RunRow, arrow_schema
from deep3dmap.results.store import SMALL_TABLES, ResultStore, attempt_digest
from deep3dmap.results.table_files import READS, by_attempt, uncoded

DAMAGED_FOLDER = "damaged"


@dataclass(frozen=True)
class Problem:
    """A difference between the store and what was written.

    kind: damaged, edited, missing, changed or doubled; also stale or rescored if code or data have changed since. where: a
    file or an attempt.
    """

    kind: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def verify(store: ResultStore) -> list[Problem]:
    """Read every file of a store, including artifacts, and return the problems found."""
    found, whole = _read(store)
    found += _find_duplicates(whole["runs"])
    tables = {name: by_attempt(*(table for _, table in whole[name])) for name in TABLES}
    for name, rows in tables["runs"].items():
        found += _check_attempt(store, name, rows, {table: tables[table].get(name) for table in ("files", "metrics", "curves")})
    return found


def set_aside(store: ResultStore, problems: list[Problem]) -> list[str]:
    """Move damaged table files to the folder `damaged`; returns their new names."""
    moved = []
    for problem in problems:
        if problem.kind == "damaged":
            target = f"{DAMAGED_FOLDER}/{problem.where}"
            store.storage.write(target, store.storage.read(problem.where))
            store.storage.remove(problem.where)
            moved.append(target)
    return moved


Parts = dict[str, list[tuple[str, pa.Table]]]


def _read(store: ResultStore) -> tuple[list[Problem], Parts]:
    """Read every file of the tables, starting over if files were removed by compaction since they were listed."""
    for _ in range(READS):
        try:
            return _read_once(store)
        except FileNotFoundError:
            continue
    raise UserError(f"{store.uri}: its files kept changing while they were being read; try again")


def _read_once(store: ResultStore) -> tuple[list[Problem], Parts]:
    """Return the damaged files, and for each table its readable files with their rows."""
    damaged, whole = [], Parts()
    # The row of a run is written last, so runs are listed first: all other rows of a listed run then exist.
    for table in (*reversed(TABLES), *SMALL_TABLES):
        parts = whole.setdefault(table, [])
        for file in store.storage.names(f"tables/{table}", ".parquet"):
            where = f"tables/{table}/{file}"
            try:
                data = store.storage.read(where)
                parts.append((file, uncoded(decode_table(data, table, file)[0]) if table in TABLES else decode(data).table))
            except FileNotFoundError:
                raise
            except DAMAGE as error:
                damaged.append(Problem("damaged", where, reason_of(error)))
    return damaged, whole


def _find_duplicates(parts: list[tuple[str, pa.Table]]) -> Iterator[Problem]:
    seen: dict[tuple[str, int], tuple[str, Any]] = {}
    for file, table in parts:
        keys = zip(table["run_id"].to_pylist(), table["attempt"].to_pylist())
        for key, row in zip(keys, table.drop_columns("schema_version").to_pylist()):
            before = seen.setdefault(key, (file, row))
            if before[1] != row:
                yield Problem("doubled", attempt_name(*key), f"differs in tables/runs/{before[0]} and tables/runs/{file}")


def _check_attempt(store: ResultStore, name: str, row: pa.Table, own: dict[str, pa.Table | None]) -> Iterator[Problem]:
    (values,) = row.to_pylist()
    if not values["content_hash"] or values["schema_version"] != SCHEMA_VERSION:
        if own["metrics"] is None and values["status"] == "ok":
            yield Problem("missing", name, "its metrics are missing")
        return
    tables = {table: arrow_schema(TABLES[table]).empty_table() if rows is None else rows for table, rows in own.items()}
    run = RunRow(**{field.name: values[field.name] for field in fields(RunRow)})
    if attempt_digest(run, tables) != values["content_hash"]:
        gone = "its metrics are missing" if own["metrics"] is None and values["status"] == "ok" else ""
        yield Problem("missing" if gone else "edited", name, gone or "its rows differ from those that were written")
    for file in tables["files"].to_pylist():
        if problem := _check_artifact(store, run, file):
            yield problem


def _check_artifact(store: ResultStore, run: RunRow, file: dict[str, Any]) -> Problem | None:
    where = f"{store.artifacts_name(run.run_id, run.attempt)}/{file['name']}"
    try:
        data = store.storage.read(where)
    except FileNotFoundError:
        return Problem("missing", where, "does not exist")
    except DAMAGE as error:
        return Problem("changed", where, str(error).splitlines()[0])
    return None if bytes_digest(data) == file["sha256"] else Problem("changed", where, "differs from the file that was written")

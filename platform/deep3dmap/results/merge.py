"""Merging of stores: adds what is missing from another store without replacing anything."""

from dataclasses import dataclass, field

import pandas as pd
import pyarrow as pa

from deep3dmap.core.errors import UserError
from deep3dmap.results.attempt_numbers import attempt_at, attempt_name, is_counted
from deep3dmap.results.compact import rows_of, write_segment
from deep3dmap.results.digest import table_digest
from deep3dmap.results.run_id import content_hash
from deep3dmap.results.schema import TABLES
from deep3dmap.results.store import ResultStore
from deep3dmap.results.table_files import by_attempt, uncoded

FOLDERS = ("tables/cards", "checkpoints", "tune")


@dataclass
class Merged:
    """Result of `merge`.

    new, known: number of attempts that were added and that were already present. files: number of files copied.
    renumbered: {old name: new name} of attempts. conflicts: messages about differences between the stores.
    """

    new: int = 0
    known: int = 0
    files: int = 0
    renumbered: dict[str, str] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)


def merge(store: ResultStore, other: ResultStore) -> Merged:
    """Add the attempts, artifacts and cards of `other` that are missing from `store`. Idempotent.

    Attempts counted from 1 that have the same number but different content are renumbered. For attempts with unique numbers,
    different content is reported as a conflict, and `store` keeps its version.
    """
    if store.uri == other.uri:
        raise UserError(f"{other.uri}: cannot merge a store with itself")
    mine, theirs, found = _digests(store), _digests(other), Merged()
    new_names: dict[str, str] = {}
    for name, digest in theirs.items():
        run_id, _, number = name.rpartition("-")
        target = name
        if mine.get(name, digest) != digest:
            if not is_counted(int(number)):
                found.conflicts.append(f"attempt {name} differs; {store.uri} keeps its version")
                continue
            target = attempt_name(run_id, _derive_attempt_number(other, name, digest))
            found.renumbered[name] = target
        if target in mine:
            found.known += 1
        else:
            new_names[name] = target
    # Rows are copied last: known attempts are skipped by later merges, so all files of an attempt must be there first.
    for name, target in new_names.items():
        _copy_files(store, other, _artifacts(name), _artifacts(target), found)
    for folder in FOLDERS:
        _copy_files(store, other, folder, folder, found)
    _copy_rows(store, other, new_names)
    found.new = len(new_names)
    return found


def _digests(store: ResultStore) -> dict[str, str]:
    """Return {RUN_ID-ATTEMPT: content hash} for all attempts."""
    runs = store.runs(newest_only=False)
    names = [attempt_name(run_id, attempt) for run_id, attempt in zip(runs.run_id, runs.attempt)]
    found = dict(zip(names, runs.content_hash))
    if not all(found.values()):
        # Written by a version without content hashes.
        tables = [by_attempt(uncoded(store.table(table))) for table in TABLES]
        for name in [name for name, digest in found.items() if not digest]:
            found[name] = content_hash([table_digest(own[name]) if name in own else "" for own in tables])
    return found


def _derive_attempt_number(store: ResultStore, name: str, digest: str) -> int:
    runs = store.runs(newest_only=False)
    run_id, _, number = name.rpartition("-")
    row = runs[(runs.run_id == run_id) & (runs.attempt == int(number))].iloc[0]
    return attempt_at(int(pd.Timestamp(row.started_at).value // 1000), int(digest[:8], 16))


def _copy_rows(store: ResultStore, other: ResultStore, new_names: dict[str, str]) -> None:
    """Write the rows of some attempts as one segment per table, the runs last."""
    if not new_names:
        return
    for table in TABLES:
        rows = rows_of(other, table, set(new_names))
        names = [attempt_name(*key) for key in zip(rows["run_id"].to_pylist(), rows["attempt"].to_pylist())]
        numbers = pa.array([int(new_names[name].rpartition("-")[2]) for name in names], pa.int64())
        rows = rows.set_column(rows.column_names.index("attempt"), "attempt", numbers).combine_chunks()
        # An attempt whose file of this table is lost must not be listed in the segment.
        covered_attempts = other.covered(table)
        if covered := sorted(target for name, target in new_names.items() if name in covered_attempts):
            write_segment(store, table, rows, covered)


def _copy_files(store: ResultStore, other: ResultStore, folder: str, target: str, found: Merged) -> None:
    existing = set(store.storage.names(target, "", recursive=True))
    for name in other.storage.names(folder, "", recursive=True):
        source, copy = f"{folder}/{name}", f"{target}/{name}"
        if name not in existing:
            store.storage.write(copy, other.storage.read(source))
            found.files += 1
        elif not folder.endswith("cards") and store.storage.read(copy) != other.storage.read(source):
            found.conflicts.append(f"{copy} differs; {store.uri} keeps its version")


def _artifacts(name: str) -> str:
    run_id, _, attempt = name.rpartition("-")
    return f"artifacts/{run_id}/{attempt}"

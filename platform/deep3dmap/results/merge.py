"""Unites two stores: whatever one of them has, the other gets; nothing is replaced."""

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
    """What `merge` did. new, known: attempts. renumbered: {old name: new one}. conflicts: what is not the same in both."""

    new: int = 0
    known: int = 0
    files: int = 0
    renumbered: dict[str, str] = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)


def merge(store: ResultStore, other: ResultStore) -> Merged:
    """Add to `store` the attempts, artifacts and cards that `other` has and it has not; running it again changes nothing.

    Attempts that were counted from 1 and differ under one number get numbers of their own. An attempt that differs under a
    unique number is a conflict: it is named, and `store` keeps its own.
    """
    if store.uri == other.uri:
        raise UserError(f"{other.uri}: a store is not merged with itself")
    mine, theirs, found = _digests(store), _digests(other), Merged()
    taken: dict[str, str] = {}
    for name, digest in theirs.items():
        run_id, _, number = name.rpartition("-")
        target = name
        if mine.get(name, digest) != digest:
            if not is_counted(int(number)):
                found.conflicts.append(f"attempt {name} differs; {store.uri} keeps its own")
                continue
            target = attempt_name(run_id, _own_number(other, name, digest))
            found.renumbered[name] = target
        if target in mine:
            found.known += 1
        else:
            taken[name] = target
    # The rows come last: an attempt that is known is not looked at again, so whatever belongs to it must be there.
    for name, target in taken.items():
        _copy_files(store, other, _artifacts(name), _artifacts(target), found)
    for folder in FOLDERS:
        _copy_files(store, other, folder, folder, found)
    _copy_rows(store, other, taken)
    found.new = len(taken)
    return found


def _digests(store: ResultStore) -> dict[str, str]:
    """Return {RUN_ID-ATTEMPT: hash of what it holds} of all attempts."""
    runs = store.runs(newest_only=False)
    names = [attempt_name(run_id, attempt) for run_id, attempt in zip(runs.run_id, runs.attempt)]
    found = dict(zip(names, runs.content_hash))
    if not all(found.values()):
        # Of a version without hashes.
        tables = [by_attempt(uncoded(store.table(table))) for table in TABLES]
        for name in [name for name, digest in found.items() if not digest]:
            found[name] = content_hash([table_digest(own[name]) if name in own else "" for own in tables])
    return found


def _own_number(store: ResultStore, name: str, digest: str) -> int:
    runs = store.runs(newest_only=False)
    run_id, _, number = name.rpartition("-")
    row = runs[(runs.run_id == run_id) & (runs.attempt == int(number))].iloc[0]
    return attempt_at(int(pd.Timestamp(row.started_at).value // 1000), int(digest[:8], 16))


def _copy_rows(store: ResultStore, other: ResultStore, taken: dict[str, str]) -> None:
    """Write the rows of some attempts as a segment of each table, the runs last."""
    if not taken:
        return
    for table in TABLES:
        rows = rows_of(other, table, set(taken))
        names = [attempt_name(*key) for key in zip(rows["run_id"].to_pylist(), rows["attempt"].to_pylist())]
        numbers = pa.array([int(taken[name].rpartition("-")[2]) for name in names], pa.int64())
        rows = rows.set_column(rows.column_names.index("attempt"), "attempt", numbers).combine_chunks()
        # An attempt that has lost its file of a table must not seem to be in it.
        there = other.covered(table)
        if covered := sorted(target for name, target in taken.items() if name in there):
            write_segment(store, table, rows, covered)


def _copy_files(store: ResultStore, other: ResultStore, folder: str, target: str, found: Merged) -> None:
    there = set(store.storage.names(target, "", recursive=True))
    for name in other.storage.names(folder, "", recursive=True):
        source, copy = f"{folder}/{name}", f"{target}/{name}"
        if name not in there:
            store.storage.write(copy, other.storage.read(source))
            found.files += 1
        elif not folder.endswith("cards") and store.storage.read(copy) != other.storage.read(source):
            found.conflicts.append(f"{copy} differs; {store.uri} keeps its own")


def _artifacts(name: str) -> str:
    run_id, _, attempt = name.rpartition("-")
    return f"artifacts/{run_id}/{attempt}"

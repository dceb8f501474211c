"""Compaction: merges the files of many attempts into a few segments, which are read a hundred times faster."""

from dataclasses import dataclass

import pyarrow as pa

from deep3dmap.results.parquet_files import encode, is_segment, segment_name
from deep3dmap.results.reading_files import DAMAGE, decode_table
from deep3dmap.results.schema import TABLES
from deep3dmap.results.store import ResultStore
from deep3dmap.results.table_files import only_attempts, uncoded

# A damaged segment is skipped as a whole, so its size is limited.
ATTEMPTS_OF_SEGMENT = 2000
# Number of single-attempt files from which compacting a store pays off.
WORTH_COMPACTING = 500
_LEASE = "compact"


@dataclass(frozen=True)
class Compacted:
    """Result of `compact`.

    files: number of files merged. segments: number of segments written. damaged: files that were left unchanged. refused: the
    reason if another process was compacting the store.
    """

    files: int = 0
    segments: int = 0
    damaged: tuple[str, ...] = ()
    refused: str = ""


def compact(store: ResultStore, min_files: int = 2) -> Compacted:
    """Merge single-attempt files into segments if there are at least `min_files`; safe with concurrent readers and writers.

    A segment is read back before the files it replaces are removed, so readers find every attempt at all times.
    """
    if len(list_attempt_files(store)) < min_files:
        return Compacted()
    with store.lease([_LEASE]) as lease:
        if not lease.held:
            return Compacted(refused=str(next(iter(lease.refused.values()))))
        # There are many artifacts, so they are swept here rather than on every run.
        store.storage.sweep("artifacts")
        # List the files again: another process may have compacted them in the meantime.
        names = list_attempt_files(store)
        files, segments, damaged = 0, 0, list[str]()
        for begin in range(0, len(names), ATTEMPTS_OF_SEGMENT):
            more = _merge_files(store, names[begin : begin + ATTEMPTS_OF_SEGMENT])
            files, segments, damaged = files + more.files, segments + more.segments, [*damaged, *more.damaged]
    return Compacted(files, segments, tuple(damaged))


def list_attempt_files(store: ResultStore) -> list[str]:
    """Return the names of the single-attempt files in the table of runs."""
    return [name for name in store.storage.names("tables/runs", ".parquet") if not is_segment(name)]


def _merge_files(store: ResultStore, names: list[str]) -> Compacted:
    """Merge the files of some attempts, table by table; runs are handled last, in the same order as when they are written."""
    parts, damaged = {}, set[str]()
    for table in TABLES:
        parts[table] = _read(store, table, names)
        damaged |= {f"tables/{table}/{name}" for name, part in parts[table].items() if part is None}
    # An attempt with any damaged file is left unchanged for inspection.
    kept = [name for name in names if all(parts[table].get(name, _EMPTY_TABLE) is not None for table in TABLES)]
    if not kept:
        return Compacted(damaged=tuple(sorted(damaged)))
    segments, files = 0, 0
    for table in TABLES:
        # Only existing files: an attempt whose file of this table is lost must not be listed in the segment.
        present = {name.removesuffix(".parquet"): part for name in kept if (part := parts[table].get(name)) is not None}
        if present:
            write_segment(store, table, pa.concat_tables(present.values()), list(present))
            segments += 1
    for table in reversed(TABLES):
        for name in kept:
            if name in parts[table]:
                store.storage.remove(f"tables/{table}/{name}")
                files += 1
    return Compacted(files, segments, tuple(sorted(damaged)))


_EMPTY_TABLE = pa.table({})


def _read(store: ResultStore, table: str, names: list[str]) -> dict[str, pa.Table | None]:
    """Return {file: rows}, with None for damaged files."""
    present, found = set(store.storage.names(f"tables/{table}", ".parquet")), dict[str, pa.Table | None]()
    for name in names:
        if name in present:
            try:
                found[name] = decode_table(store.storage.read(f"tables/{table}/{name}"), table, name)[0]
            except DAMAGE:
                found[name] = None
    return found


def write_segment(store: ResultStore, table: str, rows: pa.Table, attempts: list[str]) -> str:
    """Write a segment, read it back and return its name; raises RuntimeError if the contents differ from what was written."""
    data = encode(rows, attempts)
    name = segment_name(data)
    store.storage.write(f"tables/{table}/{name}", data)
    read, covered = decode_table(store.storage.read(f"tables/{table}/{name}"), table, name)
    if not uncoded(read).equals(rows) or covered != attempts:
        raise RuntimeError(f"{store.uri}/tables/{table}/{name} does not contain what was written; nothing was removed")
    return name


def rows_of(store: ResultStore, table: str, attempts: set[str]) -> pa.Table:
    """Return the rows of the given attempts, whichever files contain them."""
    return only_attempts(uncoded(store.table(table)), attempts)

"""Concurrent reading and decoding of the files of a table."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from deep3dmap.core.errors import UserError
from deep3dmap.results.attempt_numbers import check_id
from deep3dmap.results.parquet_files import DICTIONARY, decode
from deep3dmap.results.schema import JSON_COLUMNS, STATUSES, NewerSchemaError, migrate

if TYPE_CHECKING:
    from deep3dmap.results.storage import Storage

DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError, UserError)
# Threads help because Arrow decodes without the GIL, and because each file in a bucket is a separate request.
READERS, FILES_AT_ONCE = 8, 200
# The rows of a file, and the attempts that it covers if it is a segment.
Decoded = tuple[pa.Table, list[str]]


def read_files(storage: "Storage", table: str, names: Sequence[str]) -> Iterator[tuple[str, Decoded | str]]:
    """Yield (file, its decoded content or a description of the damage) in the given order.

    Raises FileNotFoundError for a missing file, and UserError for one written by a newer deep3dmap.
    """
    if len(names) < READERS:
        yield from ((name, _read_file(storage, table, name)) for name in names)
        return
    with ThreadPoolExecutor(READERS) as pool:
        for begin in range(0, len(names), FILES_AT_ONCE):
            some = names[begin : begin + FILES_AT_ONCE]
            yield from zip(some, pool.map(lambda name: _read_file(storage, table, name), some))


def _read_file(storage: "Storage", table: str, name: str) -> Decoded | str:
    where = f"tables/{table}/{name}"
    try:
        return decode_table(storage.read(where), table, name)
    except FileNotFoundError:
        raise
    except NewerSchemaError as error:
        raise UserError(f"{storage.uri}/{where}: {error}") from error
    except DAMAGE as error:
        return reason_of(error)


def decode_table(data: bytes, table: str, name: str, coded: Sequence[str] | None = None) -> Decoded:
    """Return the rows of a file, migrated to the current schema, and the attempts that it covers if it is a segment.

    coded: the columns of a segment that are read as dictionaries (default: those in DICTIONARY for the table of metrics, none
    for others). Raises one of `DAMAGE` if the file has changed since it was written or contains invalid values.
    """
    as_codes = coded if coded is not None else DICTIONARY if table == "metrics" else ()
    rows, attempts, is_verified = decode(data, name, as_codes)
    migrated = migrate(table, rows)
    for run_id in pc.unique(migrated["run_id"]).to_pylist():
        check_id(run_id)
    if table == "runs" and not is_verified:
        _check_run(migrated)
    return migrated, attempts


def _check_run(rows: pa.Table) -> None:
    """Validate rows without a digest; raises ValueError for an unknown status or invalid JSON."""
    if unknown := set(rows["status"].to_pylist()) - set(STATUSES):
        raise ValueError(f"unknown status '{unknown.pop()}'")
    for name in JSON_COLUMNS:
        for text in rows[name].to_pylist():
            json.loads(text)


def reason_of(error: Exception) -> str:
    """Return the first line of an error about a file."""
    # Arrow's messages start with the path, which is removed.
    return (str(error).splitlines() or [type(error).__name__])[0].rpartition("': ")[2]

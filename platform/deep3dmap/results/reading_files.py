"""What is in the files of a table, many being read at a time."""

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
# Arrow decodes without the interpreter's lock, and of a bucket every file is a request of its own.
READERS, FILES_AT_ONCE = 8, 200
# The rows of a file, and the attempts that it covers as a segment.
Decoded = tuple[pa.Table, list[str]]


def read_files(storage: "Storage", table: str, names: Sequence[str]) -> Iterator[tuple[str, Decoded | str]]:
    """Yield (file, what is in it or what is wrong with it) in the order given.

    Raises FileNotFoundError for a file that is gone, and UserError for one of a newer deep3dmap.
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
    """Return the rows of a file, brought up to date, and the attempts that it covers as a segment.

    coded: the columns of a segment whose texts are read as codes (default: those of metrics). Raises one of `DAMAGE` if it is
    not as it was written, or holds what no writer of this project writes.
    """
    as_codes = coded if coded is not None else DICTIONARY if table == "metrics" else ()
    rows, attempts, is_vouched_for = decode(data, name, as_codes)
    migrated = migrate(table, rows)
    for run_id in pc.unique(migrated["run_id"]).to_pylist():
        check_id(run_id)
    if table == "runs" and not is_vouched_for:
        _check_run(migrated)
    return migrated, attempts


def _check_run(rows: pa.Table) -> None:
    """Check what a digest would have noticed."""
    if unknown := set(rows["status"].to_pylist()) - set(STATUSES):
        raise ValueError(f"unknown status '{unknown.pop()}'")
    for name in JSON_COLUMNS:
        for text in rows[name].to_pylist():
            json.loads(text)


def reason_of(error: Exception) -> str:
    """Return the first line of what is wrong with a file."""
    # Arrow repeats the path before it says what is wrong.
    return (str(error).splitlines() or [type(error).__name__])[0].rpartition("': ")[2]

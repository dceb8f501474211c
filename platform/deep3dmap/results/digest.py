"""Content digests of tables, independent of the file and row groups that they were read from."""

import hashlib
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# For tables with very few rows, such as a run's single row, hashing column by column is slower than hashing JSON.
FEW_ROWS = 4
_WIDTHS = {pa.int64(): 8, pa.float64(): 8, pa.timestamp("us", tz="UTC"): 8}


def table_digest(table: pa.Table) -> str:
    """Return 32 hexadecimal digits of the SHA-256 over the column names, types and values; row order matters."""
    found = hashlib.sha256()
    if table.num_rows <= FEW_ROWS:
        found.update(json.dumps([table.column_names, *map(str, map(_kind, table.schema.types))]).encode())
        found.update(json.dumps([column.to_pylist() for column in table.columns], default=str).encode())
        return found.hexdigest()[:32]
    for name, column in zip(table.column_names, table.columns):
        array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        found.update(f"{name} {_kind(array.type)} {len(array)}\0".encode())
        _update(found, array)
    return found.hexdigest()[:32]


def bytes_digest(data: bytes) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _kind(kind: pa.DataType) -> str:
    # Parquet and Arrow name the item field of lists differently.
    return f"list {kind.value_type}" if pa.types.is_list(kind) else str(kind)


def _lengths(lengths: pa.Array) -> bytes:
    known = pc.fill_null(lengths, -1) if lengths.null_count else lengths
    return bytes(known.to_numpy(zero_copy_only=False).tobytes())


def _update(found: Any, array: pa.Array) -> None:
    if array.null_count:
        found.update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes())
    if pa.types.is_string(array.type):
        found.update(_lengths(pc.binary_length(array)))
        offsets, data = array.buffers()[1:]
        ends = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1] if len(array) else (0,)
        found.update(memoryview(data)[ends[0] : ends[-1]] if data is not None else b"")
    elif pa.types.is_list(array.type):
        found.update(_lengths(pc.list_value_length(array)))
        _update(found, array.flatten())
    elif array.type in _WIDTHS and not array.null_count:
        width, data = _WIDTHS[array.type], array.buffers()[1]
        if len(array):
            found.update(memoryview(data)[array.offset * width : (array.offset + len(array)) * width])
    else:
        found.update(repr(array.to_pylist()).encode())

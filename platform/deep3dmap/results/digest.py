"""Digests of tables by what they hold, whatever file or order of row groups they come from."""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_WIDTHS = {pa.int64(): 8, pa.float64(): 8, pa.timestamp("us", tz="UTC"): 8}


def table_digest(table: pa.Table) -> str:
    """Return 32 hexadecimal digits of the SHA-256 over the columns' names, types and values, row by row in their order."""
    found = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns):
        array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        # Parquet gives the items of lists another name than Arrow.
        kind = f"list {array.type.value_type}" if pa.types.is_list(array.type) else array.type
        found.update(f"{name} {kind} {len(array)}\0".encode())
        _update(found, array)
    return found.hexdigest()[:32]


def bytes_digest(data: bytes) -> str:
    """Return the 64 hexadecimal digits of the SHA-256 of a file."""
    return hashlib.sha256(data).hexdigest()


def _update(found: Any, array: pa.Array) -> None:
    if array.null_count:
        found.update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes())
    if pa.types.is_string(array.type):
        found.update(pc.fill_null(pc.binary_length(array), -1).to_numpy(zero_copy_only=False).tobytes())
        offsets, data = array.buffers()[1:]
        ends = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1] if len(array) else (0,)
        found.update(memoryview(data)[ends[0] : ends[-1]] if data is not None else b"")
    elif pa.types.is_list(array.type):
        found.update(pc.fill_null(pc.list_value_length(array), -1).to_numpy(zero_copy_only=False).tobytes())
        _update(found, array.flatten())
    elif array.type in _WIDTHS and not array.null_count:
        width, data = _WIDTHS[array.type], array.buffers()[1]
        if len(array):
            found.update(memoryview(data)[array.offset * width : (array.offset + len(array)) * width])
    else:
        found.update(repr(array.to_pylist()).encode())

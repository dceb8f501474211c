"""Tables as Parquet files with checksums that detect changed bits."""

import io
import json
import re
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from deep3dmap.results.digest import bytes_digest, table_digest

_DIGEST, _ATTEMPTS = b"deep3dmap.digest", b"deep3dmap.attempts"
_SEGMENT = re.compile(r"segment-([0-9a-f]{32})\.parquet")
# Columns with repeated texts: decoding them as dictionaries takes a tenth of the time and memory.
DICTIONARY = ("run_id", "scene", "metric", "unit", "better")


class DamagedFileError(ValueError):
    """The content of a file differs from what was written."""


class Decoded(NamedTuple):
    """A table, the attempts that it covers if it is a segment, and whether its content was verified by a digest."""

    table: pa.Table
    attempts: list[str]
    is_verified: bool


def encode(table: pa.Table, attempts: Sequence[str] = ()) -> bytes:
    """Return a table as Parquet with page checksums and a digest of the whole.

    attempts: the attempts that a segment covers; the digest of a segment is part of its file name instead and covers all
    bytes, including column names and the footer.
    """
    stream = io.BytesIO()
    if attempts:
        about = {_ATTEMPTS: json.dumps(list(attempts)).encode()}
        pq.write_table(table.replace_schema_metadata(about), stream, write_page_checksum=True, compression="zstd")
    else:
        # Dictionaries, statistics and strong compression only pay off for large files.
        about, plain = {_DIGEST: table_digest(table).encode()}, {"use_dictionary": False, "write_statistics": False}
        pq.write_table(table.replace_schema_metadata(about), stream, write_page_checksum=True, compression="snappy", **plain)
    return stream.getvalue()


def decode(data: bytes, name: str = "", coded: Sequence[str] = ()) -> "Decoded":
    """Decode a file.

    name: of the file; the name of a segment contains the digest of its bytes. coded: columns of a segment that are read as
    dictionaries. Raises DamagedFileError, or an Arrow error, if the file has changed since it was written. Files of earlier
    versions have no digest.
    """
    if is_segment(name):
        _check_segment(data, name)
        file = pq.ParquetFile(pa.py_buffer(data), read_dictionary=list(coded))
        return Decoded(_plain(file.read(use_threads=False)), json.loads(file.schema_arrow.metadata[_ATTEMPTS]), True)
    file = pq.ParquetFile(pa.py_buffer(data), page_checksum_verification=True)
    about = file.schema_arrow.metadata or {}
    table = _plain(file.read(use_threads=False))
    if _DIGEST in about and table_digest(table) != about[_DIGEST].decode(errors="replace"):
        raise DamagedFileError("its content does not match its digest")
    return Decoded(table, [], _DIGEST in about)


def attempts_of_segment(data: bytes, name: str) -> frozenset[str]:
    """Return the attempts that a segment covers, without decoding its rows; raises the same errors as `decode`."""
    _check_segment(data, name)
    return frozenset(json.loads(pq.read_schema(pa.py_buffer(data)).metadata[_ATTEMPTS]))


def _check_segment(data: bytes, name: str) -> None:
    if segment_name(data) != name:
        raise DamagedFileError("its content does not match its name")


def segment_name(data: bytes) -> str:
    """Return the file name of a segment with the given bytes."""
    return f"segment-{bytes_digest(data)[:32]}.parquet"


def is_segment(name: str) -> bool:
    """Return whether a file name is that of a segment."""
    return _SEGMENT.fullmatch(name) is not None


def _plain(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata(None)

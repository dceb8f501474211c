"""Tables as Parquet files that notice when a bit of them has changed."""

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
# Texts that repeat: decoding them to codes takes a tenth of the time and memory.
DICTIONARY = ("run_id", "scene", "metric", "unit", "better")


class DamagedFileError(ValueError):
    """A file does not hold what was written."""


class Decoded(NamedTuple):
    """A table, the attempts that it covers as a segment, and whether a digest vouches for it."""

    table: pa.Table
    attempts: list[str]
    is_vouched_for: bool


def encode(table: pa.Table, attempts: Sequence[str] = ()) -> bytes:
    """Return a table as Parquet, each page with a checksum, and with a digest of the whole.

    attempts: what a segment covers; its name is its digest. A digest covers the names of columns and the footer too.
    """
    stream = io.BytesIO()
    if attempts:
        about = {_ATTEMPTS: json.dumps(list(attempts)).encode()}
        pq.write_table(table.replace_schema_metadata(about), stream, write_page_checksum=True, compression="zstd")
    else:
        # What makes large files small makes small ones slow.
        about, plain = {_DIGEST: table_digest(table).encode()}, {"use_dictionary": False, "write_statistics": False}
        pq.write_table(table.replace_schema_metadata(about), stream, write_page_checksum=True, compression="snappy", **plain)
    return stream.getvalue()


def decode(data: bytes, name: str = "", coded: Sequence[str] = ()) -> "Decoded":
    """Return what a file holds.

    name: of the file; that of a segment has the digest of its bytes. coded: columns of a segment whose texts are read as codes.
    Raises DamagedFileError, or an error of Arrow, if the file is not as it was written. Files of earlier versions have no
    digest.
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
    """Return the attempts that a segment covers, without decoding its rows; raises what `decode` raises."""
    _check_segment(data, name)
    return frozenset(json.loads(pq.read_schema(pa.py_buffer(data)).metadata[_ATTEMPTS]))


def _check_segment(data: bytes, name: str) -> None:
    if segment_name(data) != name:
        raise DamagedFileError("its content does not match its name")


def segment_name(data: bytes) -> str:
    """Return the name of a segment's file."""
    return f"segment-{bytes_digest(data)[:32]}.parquet"


def is_segment(name: str) -> bool:
    """Whether a file has the name of a segment."""
    return _SEGMENT.fullmatch(name) is not None


def _plain(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata(None)

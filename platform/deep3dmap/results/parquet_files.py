"""Tables as Parquet files that notice when a bit of them has changed."""

import io
import json
import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from deep3dmap.results.digest import bytes_digest, table_digest

_DIGEST, _ATTEMPTS = b"deep3dmap.digest", b"deep3dmap.attempts"
_SEGMENT = re.compile(r"segment-([0-9a-f]{32})\.parquet")
# Texts that repeat: decoding them to codes takes a tenth of the time and memory.
DICTIONARY = ("run_id", "scene", "metric", "unit", "better")


class DamagedFileError(ValueError):
    """A file does not hold what was written."""


def encode(table: pa.Table, attempts: Sequence[str] = ()) -> bytes:
    """Return a table as Parquet, each page with a checksum, and with a digest of the whole.

    attempts: what a segment covers. A digest costs more than a checksum but covers names of columns and the footer too.
    """
    about = {_DIGEST: table_digest(table).encode()}
    if attempts:
        about[_ATTEMPTS] = json.dumps(list(attempts)).encode()
    stream = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(about), stream, write_page_checksum=True, compression="zstd")
    return stream.getvalue()


def decode(data: bytes, name: str = "", metrics: bool = False) -> tuple[pa.Table, list[str]]:
    """Return a table and the attempts that it covers as a segment, none for a file of a single attempt.

    name: of the file; that of a segment has the digest of its bytes. metrics: a segment of metrics, whose texts are read as
    codes. Raises DamagedFileError, or an error of Arrow, if the file is not as it was written. Files of earlier versions have
    no digest.
    """
    if segment := _SEGMENT.fullmatch(name):
        if bytes_digest(data)[:32] != segment[1]:
            raise DamagedFileError("its content does not match its name")
        coded = list(DICTIONARY) if metrics else []
        file = pq.ParquetFile(pa.py_buffer(data), read_dictionary=coded)
        return _plain(file.read(use_threads=False)), json.loads(file.schema_arrow.metadata[_ATTEMPTS])
    file = pq.ParquetFile(pa.py_buffer(data), page_checksum_verification=True)
    about = file.schema_arrow.metadata or {}
    table = _plain(file.read(use_threads=False))
    if _DIGEST in about and table_digest(table) != about[_DIGEST].decode(errors="replace"):
        raise DamagedFileError("its content does not match its digest")
    return table, []


def has_digest(data: bytes) -> bool:
    """Whether a file was written with a digest."""
    return _DIGEST in (pq.read_schema(pa.py_buffer(data)).metadata or {})


def segment_name(data: bytes) -> str:
    """Return the name of a segment's file."""
    return f"segment-{bytes_digest(data)[:32]}.parquet"


def is_segment(name: str) -> bool:
    """Whether a file has the name of a segment."""
    return _SEGMENT.fullmatch(name) is not None


def _plain(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata(None)

"""Writes TensorFlow checkpoints in TensorFlow's format: prefix-compressed LevelDB blocks with checksums."""

import struct
from pathlib import Path

import numpy as np

from deep3dmap.data.formats.crc32c import masked_crc32c
from deep3dmap.data.formats.tensorflow_checkpoint import MAGIC, TYPES

RESTART, BLOCK = 16, 4096
NUMBER_OF_TYPE = {dtype: number for number, dtype in TYPES.items()}


def write_checkpoint(prefix: Path, variables: dict[str, np.ndarray]) -> None:
    """Write `prefix`.index and `prefix`.data-00000-of-00001."""
    entries, chunks, offset = [(b"", field(1, 1) + field(3, field(1, 1)))], [], 0
    for name in sorted(variables):
        chunks.append(np.ascontiguousarray(variables[name]).tobytes())
        entries.append((name.encode(), entry(np.asarray(variables[name]), offset, chunks[-1])))
        offset += len(chunks[-1])
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(b"".join(chunks))
    prefix.with_name(prefix.name + ".index").write_bytes(table(entries))


def entry(value: np.ndarray, offset: int, stored: bytes) -> bytes:
    shape = b"".join(field(2, field(1, size)) for size in value.shape)
    message = field(1, NUMBER_OF_TYPE[value.dtype]) + field(2, shape)
    message += (field(4, offset) if offset else b"") + field(5, len(stored))
    return message + varint(6 << 3 | 5) + struct.pack("<I", masked_crc32c(stored))


def table(entries: list[tuple[bytes, bytes]]) -> bytes:
    out, index, pending = b"", [], []
    for key, value in entries:
        pending.append((key, value))
        if len(block(pending)) >= BLOCK or key == entries[-1][0]:
            written = block(pending)
            index.append((pending[-1][0], varint(len(out)) + varint(len(written))))
            out, pending = out + trailed(written), []
    handles = b""
    for part in (block([]), block(index)):
        handles += varint(len(out)) + varint(len(part))
        out += trailed(part)
    return out + handles.ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    out, restarts, last = b"", [0], b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % RESTART:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        elif number:
            restarts.append(len(out))
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return out + struct.pack(f"<{len(restarts)}I", *restarts) + struct.pack("<I", len(restarts))


def trailed(written: bytes) -> bytes:
    return written + b"\0" + struct.pack("<I", masked_crc32c(written + b"\0"))


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def varint(value: int) -> bytes:
    out = b""
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])

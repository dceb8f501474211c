"""TensorFlow checkpoints (tensor bundles): `NAME.index` and `NAME.data-00000-of-00001`, read without TensorFlow.

The index is a LevelDB table (https://github.com/google/leveldb/blob/main/doc/table_format.md) that maps variable names to
protobuf messages (BundleEntryProto in tensorflow/core/protobuf/tensor_bundle.proto) with type, shape, shard, offset, size and
checksum. The shards contain the raw little-endian values.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.crc32c import masked_crc32c

MAGIC = 0xDB4775248B80FB57
FOOTER, TRAILER = 48, 5
TYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 2: np.dtype("<f8"), 3: np.dtype("<i4"), 9: np.dtype("<i8")}


@dataclass(frozen=True)
class Variable:
    """Location of a variable: dtype, shape, shard number, offset and size in bytes within the shard, masked CRC-32C."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int


class DamagedError(ValueError):
    """The bytes do not match the format; the reader converts this to a UserError that names the file."""


def is_tensorflow_checkpoint(path: Path) -> bool:
    """Return whether a path refers to a checkpoint: its index, one of its shards, or their common prefix."""
    return _prefix(path).with_name(_prefix(path).name + ".index").is_file()


def read_variables(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, NDArray[Any]]:
    """Read the variables whose names satisfy `wanted`, in TensorFlow's axis order, and verify their checksums.

    path: NAME, NAME.index or NAME.data-00000-of-00001. Raises UserError naming the file that is missing or damaged, and the
    affected variable.
    """
    variables, shards = _read_index(path)
    chosen = {name: variable for name, variable in variables.items() if wanted(name)}
    prefix, data = _prefix(path), {}
    for number in sorted({variable.shard for variable in chosen.values()}):
        file = prefix.with_name(f"{prefix.name}.data-{number:05d}-of-{shards:05d}")
        if not file.is_file():
            raise UserError(f"{file}: not found; a TensorFlow checkpoint is the .index and the .data files together")
        data[number] = (file, np.memmap(file, np.uint8, "r") if file.stat().st_size else np.zeros(0, np.uint8))
    return {name: _values(*data[variable.shard], name, variable) for name, variable in chosen.items()}


def _prefix(path: Path) -> Path:
    name = path.name
    for ending in (".index", ".meta"):
        name = name.removesuffix(ending)
    return path.with_name(name.partition(".data-")[0])


def _read_index(path: Path) -> tuple[dict[str, Variable], int]:
    prefix = _prefix(path)
    file = prefix.with_name(prefix.name + ".index")
    if not file.is_file():
        raise UserError(f"{file}: not found; a TensorFlow checkpoint is the .index and the .data files together")
    try:
        entries = list(_table_entries(file.read_bytes()))
        if not entries or entries[0][0]:
            raise DamagedError("it does not begin with a bundle header")
        shards = _header(entries[0][1])
        return {key.decode(): _variable(key.decode(), value) for key, value in entries[1:]}, shards
    except (DamagedError, UnicodeDecodeError, struct.error) as error:
        raise UserError(f"{file}: not a complete index of a TensorFlow checkpoint ({error}); download it again") from error


def _values(file: Path, data: NDArray[np.uint8], name: str, variable: Variable) -> NDArray[Any]:
    end = variable.offset + variable.size
    if end > len(data):
        raise UserError(f"{file}: ends at byte {len(data)}, but '{name}' goes to {end}; download it again")
    stored = data[variable.offset : end].tobytes()
    if masked_crc32c(stored) != variable.checksum:
        raise UserError(f"{file}: the bytes of '{name}' do not match their checksum; download it again")
    return np.frombuffer(stored, variable.dtype).reshape(variable.shape).copy()


def _table_entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a LevelDB table in order."""
    if len(table) < FOOTER or struct.unpack_from("<Q", table, len(table) - 8)[0] != MAGIC:
        raise DamagedError("no LevelDB table: the magic number at its end is missing")
    at = len(table) - FOOTER
    for _ in range(2):  # skip the handle of the metadata index, which bundles do not use
        _, at = _varint(table, at)
    for _, handle in _block_entries(_block(table, at)):
        yield from _block_entries(_block(handle, 0, table))


def _block(handle: bytes, at: int, table: bytes | None = None) -> bytes:
    """Return the block referenced by the handle at `handle[at]`, after verifying its checksum."""
    table = handle if table is None else table
    offset, at = _varint(handle, at)
    size, _ = _varint(handle, at)
    if offset + size + TRAILER > len(table):
        raise DamagedError(f"a block goes beyond the end, to byte {offset + size + TRAILER}")
    kind, checksum = struct.unpack_from("<BI", table, offset + size)
    if masked_crc32c(table[offset : offset + size + 1]) != checksum:
        raise DamagedError(f"the block at byte {offset} does not match its checksum")
    if kind:
        raise DamagedError(f"the block at byte {offset} is compressed, which TensorFlow does not do")
    return table[offset : offset + size]


def _block_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    if len(block) < 4:
        raise DamagedError("a block is too short")
    end = len(block) - 4 - 4 * struct.unpack_from("<I", block, len(block) - 4)[0]
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + fresh + length > end:
            raise DamagedError("an entry goes beyond its block")
        key = key[:shared] + block[at : at + fresh]
        yield key, block[at + fresh : at + fresh + length]
        at += fresh + length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        if at >= len(data):
            raise DamagedError("a number is cut off")
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at
    raise DamagedError("a number is too long")


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the field numbers and values of a protobuf message: int, or bytes of a nested message."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        size, at = _varint(message, at) if kind == 2 else ({1: 8, 5: 4}.get(kind, len(message) + 1), at)
        if at + size > len(message):
            raise DamagedError("a message is cut off")
        yield number, message[at : at + size] if kind == 2 else int.from_bytes(message[at : at + size], "little")
        at += size


def _header(message: bytes) -> int:
    header = dict(_fields(message))
    if header.get(2, 0):
        raise DamagedError("its numbers are big-endian")
    return int(header.get(1, 1))


def _variable(name: str, message: bytes) -> Variable:
    entry = dict(_fields(message))
    if 7 in entry:
        raise DamagedError(f"'{name}' is stored in slices")
    if entry.get(1) not in TYPES:
        raise DamagedError(f"'{name}' has type {entry.get(1)}, not float or integer of 32 or 64 bits")
    dtype = TYPES[entry[1]]
    dimensions = [value for number, value in _fields(entry.get(2, b"")) if number == 2]
    shape = tuple(int(dict(_fields(dimension)).get(1, 0)) for dimension in dimensions)
    size = int(entry.get(5, 0))
    if size != dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise DamagedError(f"'{name}' of shape {shape} has {size} bytes")
    return Variable(dtype, shape, int(entry.get(3, 0)), int(entry.get(4, 0)), size, int(entry.get(6, 0)))

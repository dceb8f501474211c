"""Fuzzing of all readers: one file of a small intact sample is damaged, and the result of the reader is checked.

Each case is identified by a seed and a number. A reader passes if it returns finite numbers, or raises a one-line error that
names the file.
"""

import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sample_files import SAMPLES

from deep3dmap.core.errors import UserError

WORDS = [b"nan", b"inf", b"-inf", b"1e400", b"-1", b"0", b"99999999999", b"2147483648", b"", b"{", b"]", b"null", b"\xff\xfe"]
TEXT = (".txt", ".json", ".obj", ".mtl", ".csv", ".pts")


def run_case(seed: int, number: int) -> tuple[str, str]:
    """Damage a file and read it; returns the reader's name, and `ok`, `refused` or a description of the fault."""
    rng = np.random.default_rng([seed, number])
    names = list(SAMPLES)
    name = names[number % len(names)]
    work = _whole()[0] / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(_whole()[0] / name, work)
    damaged = _damage(rng, work)
    try:
        found = SAMPLES[name].read(work)
        return name, _not_finite(found) or "ok"
    except UserError as error:
        return name, _clear(str(error), work)
    except Exception as error:
        return name, f"{type(error).__name__} over {damaged.name}: {str(error)[:200]}"


@cache
def _whole() -> tuple[Path, tempfile.TemporaryDirectory[str]]:
    held = tempfile.TemporaryDirectory()
    folder = Path(held.name)
    for name, sample in SAMPLES.items():
        (folder / name).mkdir()
        sample.write(folder / name)
        assert not _not_finite(sample.read(folder / name)), name
    return folder, held


def _damage(rng: np.random.Generator, folder: Path) -> Path:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    file = files[int(rng.integers(len(files)))]
    data = bytearray(file.read_bytes())
    changes: list[Callable[[np.random.Generator, bytearray, Path], bytearray]] = [_flip, _cut, _repeat, _overwrite, _numbers]
    if file.suffix in TEXT:
        changes += [_word, _word, _word]
    if file.suffix == ".npz":
        changes += [_array, _array, _array]
    if file.suffix == ".png":
        changes += [_png_size]
    file.write_bytes(changes[int(rng.integers(len(changes)))](rng, data, file))
    return file


def _flip(rng: np.random.Generator, data: bytearray, file: Path) -> bytearray:
    for place in rng.integers(0, max(len(data), 1), int(rng.integers(1, 9))) if data else ():
        data[int(place)] ^= 1 << int(rng.integers(8))
    return data


def _cut(rng: np.random.Generator, data: bytearray, file: Path) -> bytearray:
    return data[: int(rng.integers(0, len(data) + 1))]


def _repeat(rng: np.random.Generator, data: bytearray, file: Path) -> bytearray:
    start = int(rng.integers(0, len(data) + 1))
    return data[:start] + data[start : start + int(rng.integers(1, 64))] * int(rng.integers(2, 40)) + data[start:]


def _overwrite(rng: np.random.Generator, data: bytearray, file: Path) -> bytearray:
    start = int(rng.integers(0, max(len(data), 1)))
    length = int(rng.integers(1, 32))
    data[start : start + length] = rng.integers(0, 256, length).astype(np.uint8).tobytes()
    return data


def _numbers(rng: np.random.Generator, data: bytearray, file: Path) -> bytearray:
    """Overwrite four or eight bytes with an unusual number, preferably near the beginning, where headers are."""
    odd = [struct.pack("<f", value) for value in (np.nan, np.inf, 3e38)] + [struct.pack("<d", np.nan)]
    odd += [struct.pack(form, value) for form in ("<I", ">I") for value in (0xFFFFFFFF, 0x7FFFFFFF, 0x10000, 0)]
    odd += [struct.pack("<Q", value) for value in (2**63, 2**40, 0)]
    value = odd[int(rng.integers(len(odd)))]
    start = int(rng.integers(0, max(1, min(len(data), 400) if rng.random() < 0.7 else len(data))))
    data[start : start + len(value)] = value
    return data


def _word(rng: np.random.Generator, data: bytearray, file: Path) -> bytearray:
    words = bytes(data).split(b" ")
    words[int(rng.integers(len(words)))] = WORDS[int(rng.integers(len(WORDS)))]
    return bytearray(b" ".join(words))


def _array(rng: np.random.Generator, data: bytearray, file: Path) -> bytearray:
    """Save the arrays again with one of them changed: an intact archive with wrong numbers."""
    # The file is the sample written above, so its pickles are trusted.
    with np.load(file, allow_pickle=True) as stored:
        arrays = dict(stored)
    name = list(arrays)[int(rng.integers(len(arrays)))]
    arrays[name] = _spoiled(rng, arrays[name])
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return bytearray(file.read_bytes())


def _spoiled(rng: np.random.Generator, array: Any) -> Any:
    choice = int(rng.integers(7))
    if choice == 0 and array.dtype.kind == "f" and array.size:
        array = array.copy()
        array.flat[int(rng.integers(array.size))] = rng.choice([np.nan, np.inf, -np.inf])
        return array
    if choice == 1 and array.dtype.kind in "iu" and array.size:
        array = array.astype(np.int64)
        array.flat[int(rng.integers(array.size))] = rng.choice([-1, -(2**62), 2**40, 10**6])
        return array
    if choice == 2:
        return array[:0] if array.ndim else np.zeros(0)
    if choice == 3:
        return array.T[None]
    if choice == 4:
        return np.array([{"an": "object"}], dtype=object)
    return array.astype("U8") if choice == 5 else array.ravel()[: array.size // 2]


def _png_size(rng: np.random.Generator, data: bytearray, file: Path) -> bytearray:
    """Change the image size in the header, with a correct checksum."""
    width, height = (int(rng.choice([0, 1, 20_000, 65_535, 2**31 - 1])) for _ in range(2))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return data


def _clear(line: str, folder: Path) -> str:
    if "\n" in line or len(line) > 700:
        return f"not one line: {line[:200]}"
    return "refused" if str(folder) in line else f"names no file: {line[:200]}"


def _not_finite(found: Any, path: str = "result") -> str:
    """Return the location of a NaN or infinity in a result, or an empty string."""
    if isinstance(found, torch.Tensor):
        found = found.detach().numpy()
    if isinstance(found, np.ndarray):
        bad = found.dtype.kind == "f" and not np.isfinite(found).all()
        return f"NaN let in: {path}" if bad else ""
    if isinstance(found, float):
        return "" if np.isfinite(found) else f"NaN let in: {path}"
    parts: Iterable[tuple[Any, Any]] = ()
    if is_dataclass(found):
        parts = [(one.name, getattr(found, one.name)) for one in fields(found)]
    elif isinstance(found, dict):
        parts = found.items()
    elif isinstance(found, (list, tuple)):
        parts = enumerate(found)
    return next((bad for name, part in parts if (bad := _not_finite(part, f"{path}.{name}"))), "")

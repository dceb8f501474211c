"""Reading untrusted files in bounded memory: any library error on a damaged file becomes a one-line error naming the file.

Reading never executes code from a file, and non-finite numbers are rejected.
"""

import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError

MOST_BYTES = 1 << 29  # for all arrays in one file; the largest morphable model in use, at full resolution, has 400 MB


def is_written_as_path(text: str) -> bool:
    """Return whether `text` can only be a path, and not NAME or NAME/VARIANT: it starts like a path or has several slashes."""
    return text.startswith(("/", ".", "~")) or text.count("/") > 1


def require_file(file: Path, what: str) -> None:
    """Raise UserError unless `file` is a file. what: its kind, such as "a mesh file"."""
    if not file.is_file():
        raise UserError(f"{file}: no such file" if not file.exists() else f"{file}: a folder, not {what}")


def require_folder(folder: Path, named: str) -> Path:
    """Return `folder` or its nearest existing ancestor; raises UserError if that is a file.

    named: how the folder was specified, such as `-o DIR`.
    """
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise UserError(f"{named}: {there} is a file, not a folder; choose another folder")
    return there


@contextmanager
def reading(file: Path, what: str, remedy: str = "restore it") -> Iterator[None]:
    """Convert any error while reading a file into a UserError `FILE: not a readable WHAT (why); REMEDY`.

    what: the kind of file. remedy: advice on how to fix it. Libraries may raise almost anything on a damaged file, so all
    exceptions are caught. A UserError passes unchanged.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{file}: the file is missing; {remedy}") from error
    except MemoryError as error:
        raise UserError(f"{file}: reading this {what} takes more memory than is available; {remedy}") from error
    except Exception as error:
        why = str(error) or type(error).__name__
        raise UserError(f"{file}: not a readable {what} ({_short(why)}); {remedy}") from error


def read_npz(
    file: Path,
    what: str,
    needed: Collection[str] = (),
    *,
    skip_objects: bool = False,
    most_bytes: int = MOST_BYTES,
    finite: bool = True,
    remedy: str = "restore it",
) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file by name, without executing anything stored in it.

    needed: required names. skip_objects: skip pickled members instead of rejecting the file. most_bytes: limit on the total
    size of all arrays, checked before they are read. finite: reject NaN and infinity. Raises UserError naming the file.
    """
    with reading(file, what, remedy), zipfile.ZipFile(file) as archive:
        arrays = {}
        left = most_bytes
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            with archive.open(member) as stream:
                array = _read_array(file, stream, member.file_size, left, f"{name} ", skip_objects)
            if array is not None:
                arrays[name] = array
                left -= array.nbytes
    if missing := [name for name in needed if name not in arrays]:
        raise UserError(f"{file}: no field '{missing[0]}', so this is not a valid {what}")
    if finite:
        check_finite(file, arrays)
    return arrays


def read_npy(file: Path, what: str, most_bytes: int = MOST_BYTES) -> NDArray[Any]:
    """Return the array of an .npy file; raises UserError naming the file if it is damaged or has NaN or infinity."""
    with reading(file, what), file.open("rb") as stream:
        array = _read_array(file, stream, file.stat().st_size, most_bytes, "")
    assert array is not None
    check_finite(file, {what: array})
    return array


def check_finite(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise UserError naming the file and the first array that contains NaN or infinity."""
    for name, array in arrays.items():
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            raise UserError(f"{file}: {name} contains NaN or infinity; repair the file")


def _read_array(
    file: Path, stream: IO[bytes], size: int, most_bytes: int, name: str, skip_objects: bool = False
) -> NDArray[Any] | None:
    """Read one array, or return None for a skipped pickled one. The size in the header is checked before reading."""
    header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(stream)
    if version not in header:
        raise UserError(f"{file}: {name}uses version {version[0]} of NumPy's format, which is not supported; save it again")
    shape, fortran, dtype = header[version](stream)
    if dtype.hasobject:
        if skip_objects:
            return None
        raise UserError(f"{file}: {name}holds Python objects, which may run code and are rejected; save plain arrays")
    count = 1
    for length in shape:
        count *= length
    if count * dtype.itemsize > min(size, most_bytes) or min(shape, default=0) < 0:
        limit = "than the file holds" if count * dtype.itemsize > size else f"than {most_bytes >> 20} MiB"
        raise UserError(f"{file}: {name}of shape {shape} would take more {limit}; restore the file")
    data = stream.read(count * dtype.itemsize)
    # Reading past the end of a member verifies its checksum.
    if stream.read(1):
        raise UserError(f"{file}: {name}is longer than its header declares; restore the file")
    array = np.frombuffer(bytearray(data), dtype, count)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)


def _short(text: str, most: int = 160) -> str:
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= most else line[: most - 3] + "..."

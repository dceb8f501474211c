"""The child process of `foreign_file`: reads requests {kind, file, names}, one per line; replies two lengths, JSON, bytes."""

import json
import resource
import signal
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

INTERPRETER_BYTES = 1 << 30  # address space for the interpreter and its libraries
TIMEOUT_SECONDS = 120


def main() -> None:
    """Serve requests until standard input is closed."""
    for line in sys.stdin.buffer:
        request = json.loads(line)
        signal.alarm(TIMEOUT_SECONDS)
        about, data = _handle_request(request["kind"], Path(request["file"]), request["names"])
        signal.alarm(0)
        head = json.dumps(about).encode()
        sys.stdout.buffer.write(struct.pack("<QQ", len(head), sum(map(len, data))) + head)
        for part in data:
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()


def _handle_request(kind: str, file: Path, names: list[str]) -> tuple[dict[str, Any], list[bytes]]:
    # Compressed arrays may be many times larger than their file, but not arbitrarily large.
    most = INTERPRETER_BYTES + 16 * file.stat().st_size
    limits = soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    # A limit set from outside, for example by a batch system, is never raised.
    lowest = min(limit for limit in (most, soft, hard) if limit != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_AS, (lowest, hard))
    try:
        found = list(_matlab(file) if kind == "matlab" else _hdf5(file, names))
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        return {"error": f"not a readable {'MATLAB' if kind == 'matlab' else 'HDF5'} file ({reason}); restore it"}, []
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    entries = [{"path": path, "dtype": array.dtype.str, "shape": array.shape, "bytes": array.nbytes} for path, array in found]
    return {"arrays": entries}, [array.tobytes() for _, array in found]


def _matlab(file: Path) -> Iterator[tuple[list[str], Any]]:
    import scipy.io

    for name, value in scipy.io.loadmat(file).items():
        if isinstance(value, np.ndarray):
            yield from _arrays([name], value)


def _arrays(path: list[str], value: Any) -> Iterator[tuple[list[str], Any]]:
    """Yield the numeric arrays in a variable, recursing into the fields of scalar structures."""
    array = np.asarray(value)
    if array.dtype.names and array.size == 1:
        for name in array.dtype.names:
            yield from _arrays([*path, name], array.ravel()[0][name])
    elif array.dtype.kind in "fiub":
        yield path, array


def _hdf5(file: Path, names: list[str]) -> Iterator[tuple[list[str], Any]]:
    import h5py

    with h5py.File(file) as stored:
        for name in names:
            if name not in stored:
                raise KeyError(f"no field {name}")
            array = np.asarray(stored[name][()])
            if array.dtype.kind not in "fiub":
                raise ValueError(f"{name} does not hold numbers")
            yield [name], array


if __name__ == "__main__":
    main()

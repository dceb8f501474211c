"""MATLAB and HDF5 files, read by C libraries in a separate process so that a damaged file cannot crash this one.

One child process serves all reads of this process. It returns only array names, dtypes, shapes and bytes.
"""

import json
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import reading

Fields = dict[str, Any]
CHILD = Path(__file__).with_name("foreign_file_child.py")
FRAME = "<QQ"


class _Reader:
    """The reader process, started on first use and restarted if a file crashed it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner, self._lock = 0, threading.Lock()

    def read(self, kind: str, file: Path, names: tuple[str, ...]) -> tuple[dict[str, Any], bytes]:
        """Return the process's description of a file and the bytes of its arrays."""
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            request = json.dumps({"kind": kind, "file": str(file.absolute()), "names": names}) + "\n"
            try:
                process.stdin.write(request.encode())
                process.stdin.flush()
                about, data = struct.unpack(FRAME, _read_exactly(process.stdout, struct.calcsize(FRAME)))
                return json.loads(_read_exactly(process.stdout, about)), _read_exactly(process.stdout, data)
            except (OSError, EOFError) as error:
                self._process = None
                process.kill()
                process.wait()
                raise EOFError("it crashes the process that reads it") from error

    def _running(self) -> "subprocess.Popen[bytes]":
        # After a fork, the reader belongs to the parent; two processes must not use it at the same time.
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            # -P keeps the script's folder, whose `numbers.py` would shadow the standard module, off the import path.
            command = [sys.executable, "-P", str(CHILD)]
            environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment)
            self._owner = os.getpid()
        return self._process


_READER = _Reader()


def read_matlab(file: Path) -> Fields:
    """Return the variables of a MATLAB 5 file: arrays, and structures as dictionaries of arrays; others are skipped.

    Values are returned as stored, including NaN. Raises UserError naming the file if it is missing or damaged.
    """
    return _read("matlab", file, "MATLAB file", ())


def read_hdf5(file: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Return the named datasets of an HDF5 file; raises UserError naming the file and any missing dataset."""
    return _read("hdf5", file, "HDF5 file", names)


def _read(kind: str, file: Path, what: str, names: tuple[str, ...]) -> Fields:
    with reading(file, what):
        if not file.is_file():
            raise FileNotFoundError
        about, data = _READER.read(kind, file, names)
        if "error" in about:
            raise UserError(f"{file}: {about['error']}")
        fields: Fields = {}
        at = 0
        for entry in about["arrays"]:
            array = np.frombuffer(bytearray(data[at : at + entry["bytes"]]), entry["dtype"]).reshape(entry["shape"])
            at += entry["bytes"]
            place = fields
            for name in entry["path"][:-1]:
                place = place.setdefault(name, {})
            place[entry["path"][-1]] = array
    return fields


def _read_exactly(stream: Any, count: int) -> bytes:
    data: bytes = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data

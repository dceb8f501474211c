"""Files read by a separate process: it respects the memory limits it was started with."""

import json
import resource
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from deep3dmap.data.formats.foreign_file import CHILD, FRAME

GIBIBYTE = 1 << 30
ASK = """
import importlib.util, pathlib, resource, sys
spec = importlib.util.spec_from_file_location("child", sys.argv[1])
child = importlib.util.module_from_spec(spec)
spec.loader.exec_module(child)
about, _ = child._handle_request("matlab", pathlib.Path(sys.argv[2]), [])
print(len(about["arrays"]), *resource.getrlimit(resource.RLIMIT_AS))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    scipy.io.savemat(tmp_path / "numbers.mat", {"x": np.arange(3.0)})
    return tmp_path / "numbers.mat"


def test_a_limit_from_outside_that_cannot_be_raised_is_kept(file: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (GIBIBYTE, GIBIBYTE))

    request = json.dumps({"kind": "matlab", "file": str(file), "names": []}).encode() + b"\n"
    done = subprocess.run([sys.executable, "-P", CHILD], input=request, capture_output=True, preexec_fn=limit, check=True)
    length, _ = struct.unpack(FRAME, done.stdout[:16])
    about = json.loads(done.stdout[16 : 16 + length])
    assert [array["path"] for array in about["arrays"]] == [["x"]]


def test_the_limits_are_put_back(file: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (4 * GIBIBYTE, 8 * GIBIBYTE))

    command = [sys.executable, "-P", "-c", ASK, str(CHILD), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, check=True)
    assert [int(word) for word in done.stdout.split()] == [1, 4 * GIBIBYTE, 8 * GIBIBYTE]

"""Files that could exhaust memory or crash the process are rejected with one line and little memory."""

import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from deep3dmap.core import UserError
from deep3dmap.data.formats import foreign_file
from deep3dmap.data.formats.images import image_size, read_gray16, read_image
from deep3dmap.data.formats.scannet_sens import read_sens
from deep3dmap.geometry.obj_file import read_obj

MIB = 1 << 20


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Check that Python's peak allocation during the test stays below 16 MiB."""
    tracemalloc.start()
    yield
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 16 * MIB


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


# Pillow itself rejects the larger one, but none of 81 megapixels.
@pytest.mark.parametrize("side", [9_000, 20_000])
@pytest.mark.parametrize("read", [read_image, read_gray16, image_size])
def test_a_png_beyond_any_photograph(read: object, side: int, little_memory: None, tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(UserError, match=r"a\.png: .*(9000x9000|400000000) pixels"):
        read(tmp_path / "a.png")  # type: ignore[operator]


def sens(width: int, height: int, depth: bytes, frames: int = 1) -> bytes:
    matrices = np.eye(4, dtype="<f4").tobytes() * 4
    parts = [struct.pack("<IQ", 4, 1), b"s", matrices, struct.pack("<iiIIIIfQ", 2, 1, 16, 12, width, height, 1000.0, frames)]
    parts += [np.eye(4, dtype="<f4").tobytes(), struct.pack("<QQQQ", 1, 2, 0, len(depth)), depth]
    return b"".join(parts)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda: sens(16, 12, zlib.compress(bytes(256 * MIB))), "frame 0: damaged depth"),
        (lambda: sens(60_000, 60_000, b""), "60000x60000 pixels are beyond any sensor"),
        (lambda: sens(16, 12, b"", frames=1 << 40), "its header lists 1099511627776 frames, but the file is too short"),
    ],
)
def test_a_small_sens_that_grows(content: object, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.sens").write_bytes(content())  # type: ignore[operator]
    tracemalloc.start()
    with pytest.raises(UserError, match=rf"a\.sens.*{says}"):
        list(read_sens(tmp_path / "a.sens")[1])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 16 * MIB


@pytest.mark.parametrize(
    "face", ["1 2 99999999999", "1 2 -99999999999", "1 2 1e9", "1 2 99999999999999999999999", "1/9 2/9 3/9"]
)
def test_an_obj_whose_faces_name_what_is_not_there(face: str, little_memory: None, tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text(f"v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf {face}\n")
    with pytest.raises(UserError, match=r"a\.obj: ") as caught:
        read_obj(tmp_path / "a.obj")
    assert "\n" not in str(caught.value)


def test_a_matlab_file_that_ends_its_reader_ends_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SciPy's C reader accesses memory out of bounds for a damaged file."""
    scipy.io.savemat(tmp_path / "whole.mat", {"x": np.arange(3.0)})
    (tmp_path / "bad.mat").write_bytes(b"whatever")
    crashing = tmp_path / "child.py"
    crashing.write_text(foreign_file.CHILD.read_text().replace("    import scipy.io\n", f"    import scipy.io\n    {CRASH}\n"))
    monkeypatch.setattr(foreign_file, "CHILD", crashing)
    monkeypatch.setattr(foreign_file, "_READER", foreign_file._Reader())
    with pytest.raises(UserError, match=r"bad\.mat: not a readable MATLAB file \(it crashes the process that reads it\)"):
        foreign_file.read_matlab(tmp_path / "bad.mat")
    assert foreign_file.read_matlab(tmp_path / "whole.mat")["x"].ravel().tolist() == [0, 1, 2]


CRASH = "import os; file.name == 'bad.mat' and os.kill(os.getpid(), signal.SIGSEGV)"

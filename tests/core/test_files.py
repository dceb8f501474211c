"""Arrays from untrusted files: intact ones are exact, damaged ones give a one-line error, and reading is safe and bounded."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deep3dmap.core import UserError
from deep3dmap.core.files import check_finite, is_written_as_path, read_npy, read_npz, reading

ARRAYS = {
    "rows": np.arange(12, dtype=np.int32).reshape(3, 4),
    "columns": np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)),
    "number": np.array(7.5, np.float32),
    "nothing": np.zeros((0, 3)),
    "flags": np.array([True, False]),
    "words": np.array(["one", "three"]),
    "big_endian": np.arange(3, dtype=">i2"),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_as_they_were(save: Callable[..., None], tmp_path: Path) -> None:
    save(tmp_path / "a.npz", **ARRAYS)
    found = read_npz(tmp_path / "a.npz", "sample", needed=("rows", "number"))
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
        np.save(tmp_path / "one.npy", array)
        np.testing.assert_array_equal(read_npy(tmp_path / "one.npy", "sample"), array)
    found["rows"][0, 0] = 5  # not read-only


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_nothing_that_is_pickled_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "sprung"
    np.savez(tmp_path / "a.npz", trap=np.array([Trap(mark)], dtype=object), plain=np.ones(2))
    with pytest.raises(UserError, match=r"a\.npz: trap holds Python objects, which may run code"):
        read_npz(tmp_path / "a.npz", "sample")
    assert read_npz(tmp_path / "a.npz", "sample", skip_objects=True).keys() == {"plain"}
    np.save(tmp_path / "a.npy", np.array([Trap(mark)], dtype=object))
    with pytest.raises(UserError, match=r"a\.npy: holds Python objects"):
        read_npy(tmp_path / "a.npy", "sample")
    assert not mark.exists()


def member(shape: tuple[int, ...], data: bytes = b"", dtype: str = "<f8", version: bytes = b"\x01\x00") -> bytes:
    """Return the bytes of an .npy file with an arbitrary header."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    length = len(header).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + length + header + data


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (member((1 << 40,)), "would take more than the file holds"),
        (member((1 << 62, 1 << 62)), "would take more than the file holds"),
        (member((3,), bytes(16)), "not a readable sample"),
        (member((-1, -5), bytes(40)), "shape"),
        (member((2,), bytes(16), dtype="|V0"), "longer than its header declares"),
        (member((2,), bytes(16), version=b"\x03\x00"), "version 3 of NumPy's format"),
        (member((2,), bytes(16), dtype="no type"), "not a readable sample"),
        (b"\x93NUMPY", "not a readable sample"),
        (b"", "not a readable sample"),
        (b"\n\x1b[31m" + b"text " * 400, "not a readable sample"),
    ],
)
def test_headers_that_promise_what_is_not_there(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("field.npy", content)
    for read in (read_npy, read_npz):
        name = "a.npy" if read is read_npy else "a.npz"
        with pytest.raises(UserError, match=says) as caught:
            read(tmp_path / name, "sample")  # type: ignore[operator]
        line = str(caught.value)
        assert line.startswith(f"{tmp_path / name}: ")
        assert line.isprintable()
        assert len(line) < len(str(tmp_path)) + 300


def test_arrays_are_counted_together_before_any_more_is_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", one=np.zeros(1000), other=np.zeros(1000))
    assert len(read_npz(tmp_path / "a.npz", "sample", most_bytes=16_000)) == 2
    with pytest.raises(UserError, match=r"other of shape \(1000,\) would take more than 0 MiB"):
        read_npz(tmp_path / "a.npz", "sample", most_bytes=15_999)
    np.save(tmp_path / "a.npy", np.zeros(1 << 18))
    with pytest.raises(UserError, match="would take more than 1 MiB"):
        read_npy(tmp_path / "a.npy", "sample", most_bytes=1 << 20)


def test_a_member_that_goes_on_after_its_array_is_refused_unread(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(3.0))
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as stream:
        stream.write((tmp_path / "x.npy").read_bytes())
        for _ in range(64):
            stream.write(bytes(1 << 20))
    with pytest.raises(UserError, match=r"x\.npz: a is longer than its header declares"):
        read_npz(tmp_path / "x.npz", "thing")


def test_a_flipped_bit_is_found_by_its_checksum(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.savez(stream, values=np.arange(100.0))
    content = bytearray(stream.getvalue())
    content[content.index(np.float64(50.0).tobytes())] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"not a readable sample \(Bad CRC-32"):
        read_npz(tmp_path / "a.npz", "sample")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), complex(0, float("nan"))])
def test_numbers_that_are_not_finite_stay_outside(value: complex, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", good=np.ones(2), bad=np.array([1, value]))
    with pytest.raises(UserError, match=r"a\.npz: bad contains NaN or infinity; repair the file"):
        read_npz(tmp_path / "a.npz", "sample")
    assert len(read_npz(tmp_path / "a.npz", "sample", finite=False)) == 2
    np.save(tmp_path / "a.npy", np.array([value]))
    with pytest.raises(UserError, match="sample contains NaN or infinity"):
        read_npy(tmp_path / "a.npy", "sample")
    check_finite(tmp_path, {"whole": np.array([2**31]), "words": np.array(["nan"])})


def test_a_field_that_is_needed_and_a_file_that_is_missing_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", one=np.ones(1))
    with pytest.raises(UserError, match=r"a\.npz: no field 'two', so this is not a valid head model"):
        read_npz(tmp_path / "a.npz", "head model", needed=("one", "two", "three"))
    for read in (read_npy, read_npz):
        with pytest.raises(UserError, match=r"gone\.npz: the file is missing"):
            read(tmp_path / "gone.npz", "sample")  # type: ignore[operator]


def test_any_error_becomes_one_line_with_what_to_do(tmp_path: Path) -> None:
    def told(error: Exception) -> str:
        with pytest.raises(UserError) as caught, reading(tmp_path / "a.bin", "scan", "scan it again"):
            raise error
        return str(caught.value).removeprefix(f"{tmp_path}/")

    assert told(ValueError("two\nlines\tand \x1b[0m a colour")) == (
        "a.bin: not a readable scan (two lines and [0m a colour); scan it again"
    )
    assert told(KeyError()) == "a.bin: not a readable scan (KeyError); scan it again"
    assert told(MemoryError()) == "a.bin: reading this scan takes more memory than is available; scan it again"
    assert told(FileNotFoundError("x")) == "a.bin: the file is missing; scan it again"
    assert told(UserError("said already")) == "said already"
    assert len(told(ValueError("long " * 1000))) < 220
    with pytest.raises(KeyboardInterrupt), reading(tmp_path / "a.bin", "scan"):
        raise KeyboardInterrupt


@pytest.mark.parametrize("text", ["/data/run", "./run", "../run", "~/run", "results/work/run"])
def test_what_can_only_be_a_path(text: str) -> None:
    assert is_written_as_path(text)


@pytest.mark.parametrize("text", ["prnet", "prnet/quick", "a1b2c3d4", "module:Class/variant"])
def test_what_may_be_a_name(text: str) -> None:
    assert not is_written_as_path(text)

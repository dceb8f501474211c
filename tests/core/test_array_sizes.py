"""Arrays of strangers are read in bounded memory, and what is read is all there is."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from deep3dmap.core import UserError
from deep3dmap.core.files import read_npy, read_npz


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.zeros((0, 3), np.int32)}
    np.savez_compressed(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    np.save(tmp_path / "x.npy", arrays["a"])
    found = read_npz(tmp_path / "x.npz", "thing")
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    assert np.array_equal(read_npy(tmp_path / "x.npy", "thing"), arrays["a"])


def test_a_member_that_goes_on_after_its_array_is_refused_unread(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(3.0))
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as stream:
        stream.write((tmp_path / "x.npy").read_bytes())
        for _ in range(64):
            stream.write(bytes(1 << 20))
    with pytest.raises(UserError, match=r"x\.npz: a is followed by more than its header promises"):
        read_npz(tmp_path / "x.npz", "thing")


def test_a_member_whose_checksum_is_wrong_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.arange(1000.0))
    damaged = bytearray((tmp_path / "x.npz").read_bytes())
    damaged[4000] ^= 1
    (tmp_path / "x.npz").write_bytes(damaged)
    with pytest.raises(UserError, match="CRC-32"):
        read_npz(tmp_path / "x.npz", "thing")

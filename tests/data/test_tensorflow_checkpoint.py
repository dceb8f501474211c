"""TensorFlow checkpoints: round trips, and errors for every kind of damage."""

from pathlib import Path

import numpy as np
import pytest
from tensorflow_writer import write_checkpoint

from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.crc32c import LANE, crc32c
from deep3dmap.data.formats.tensorflow_checkpoint import is_tensorflow_checkpoint, read_variables

RNG = np.random.default_rng(0)
VARIABLES = {f"net/layer_{number}/weights": RNG.normal(size=(3, number % 4 + 1, 2)).astype(np.float32) for number in range(150)}
VARIABLES |= {"beta1_power": np.float32(0.9), "global_step": np.int64(12), "net/empty": np.zeros((0, 3), np.float32)}


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "weight", VARIABLES)
    return tmp_path / "weight"


def test_checksums_are_castagnoli() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    data = RNG.bytes(3 * LANE + 5)
    # Combining the lanes of a long input gives the same result as processing it byte by byte.
    state = 0
    for start in range(0, len(data), 1000):
        state = crc32c_from(state, data[start : start + 1000])
    assert crc32c(data) == state


def crc32c_from(state: int, data: bytes) -> int:
    state ^= 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


@pytest.mark.parametrize("ending", ["", ".index", ".data-00000-of-00001"])
def test_what_is_written_comes_back(prefix: Path, ending: str) -> None:
    path = prefix.with_name(prefix.name + ending)
    assert is_tensorflow_checkpoint(path)
    read = read_variables(path)
    assert read.keys() == VARIABLES.keys()
    for name, value in VARIABLES.items():
        assert read[name].dtype == value.dtype
        np.testing.assert_array_equal(read[name], value)


def test_only_what_is_wanted_is_read(prefix: Path) -> None:
    assert read_variables(prefix, lambda name: name == "global_step") == {"global_step": 12}


def test_absent_files_are_named(prefix: Path) -> None:
    prefix.with_name("weight.data-00000-of-00001").unlink()
    with pytest.raises(UserError, match=r"weight\.data-00000-of-00001: not found"):
        read_variables(prefix)
    with pytest.raises(UserError, match=r"other\.index: not found"):
        read_variables(prefix.with_name("other"))
    assert not is_tensorflow_checkpoint(prefix.with_name("other"))


def test_damaged_numbers_are_named(prefix: Path) -> None:
    data = prefix.with_name("weight.data-00000-of-00001")
    whole = data.read_bytes()
    at = whole.index(VARIABLES["net/layer_7/weights"].tobytes()) + 5
    data.write_bytes(whole[:at] + b"\x55" + whole[at + 1 :])
    with pytest.raises(UserError, match="'net/layer_7/weights' do not match"):
        read_variables(prefix)
    data.write_bytes(whole[:-3])
    with pytest.raises(UserError, match=f"ends at byte {len(whole) - 3}"):
        read_variables(prefix)


@pytest.mark.parametrize("keep", [0, 30, 1000, -1])
def test_a_cut_index_is_named(prefix: Path, keep: int) -> None:
    index = prefix.with_name("weight.index")
    index.write_bytes(index.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"weight\.index: not a complete index"):
        read_variables(prefix)


def test_a_changed_index_never_passes(prefix: Path) -> None:
    index = prefix.with_name("weight.index")
    whole = index.read_bytes()
    for at in RNG.integers(0, len(whole) - 60, 25).tolist():
        index.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        with pytest.raises(UserError, match="not a complete index"):
            read_variables(prefix)

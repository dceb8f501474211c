"""CRC-32C (Castagnoli) checksums in NumPy, fast enough for checkpoint tensors."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

POLYNOMIAL = 0x82F63B78
LANE = 4096
MASK_DELTA = 0xA282EAD8


def crc32c(data: bytes | memoryview) -> int:
    """Return the checksum of `data`.

    Long inputs are split into lanes of LANE bytes, whose checksums are computed in parallel and combined: CRC is linear over
    GF(2), so the state before a lane contributes as if the lane were all zeros.
    """
    flat = np.frombuffer(data, np.uint8)
    lanes = len(flat) // LANE
    state = 0xFFFFFFFF
    if lanes > 1:
        lane_tables = _zero_lane_tables()
        for lane in _lane_states(flat[: lanes * LANE].reshape(lanes, LANE)).tolist():
            state = _append_zero_lane(lane_tables, state) ^ lane
        flat = flat[lanes * LANE :]
    table = _table().tolist()
    for byte in flat.tolist():
        state = table[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state ^ 0xFFFFFFFF


def masked_crc32c(data: bytes | memoryview) -> int:
    """Return the checksum as LevelDB and TensorFlow store it: rotated by 15 bits, plus a constant."""
    value = crc32c(data)
    return (((value >> 15) | (value << 17)) + MASK_DELTA) & 0xFFFFFFFF


@cache
def _table() -> NDArray[np.uint32]:
    return _append_zero_bits(np.arange(256, dtype=np.uint32), 8)


@cache
def _two_byte_table() -> NDArray[np.uint32]:
    return _append_zero_bits(np.arange(65536, dtype=np.uint32), 16)


def _append_zero_bits(states: NDArray[np.uint32], bits: int) -> NDArray[np.uint32]:
    for _ in range(bits):
        states = (states >> np.uint32(1)) ^ np.where(states & np.uint32(1), np.uint32(POLYNOMIAL), np.uint32(0))
    return states


def _lane_states(lanes: NDArray[np.uint8]) -> NDArray[np.uint32]:
    # Two bytes at a time: half the passes over the lanes.
    table, state = _two_byte_table(), np.zeros(len(lanes), np.uint32)
    for column in np.ascontiguousarray(lanes.view("<u2").T):
        state = table[(state ^ column) & np.uint32(0xFFFF)] ^ (state >> np.uint32(16))
    return state


@cache
def _zero_lane_tables() -> list[list[int]]:
    """Return tables that map each byte of a state, by its position, through LANE zero bytes."""
    images = _append_zero_bits(np.uint32(1) << np.arange(32, dtype=np.uint32), 8 * LANE).tolist()
    return [[_xor_selected(images[8 * place : 8 * place + 8], value) for value in range(256)] for place in range(4)]


def _xor_selected(images: list[int], value: int) -> int:
    total = 0
    for bit, image in enumerate(images):
        total ^= image if value >> bit & 1 else 0
    return total


def _append_zero_lane(lane_tables: list[list[int]], state: int) -> int:
    return (
        lane_tables[0][state & 255]
        ^ lane_tables[1][state >> 8 & 255]
        ^ lane_tables[2][state >> 16 & 255]
        ^ lane_tables[3][state >> 24]
    )

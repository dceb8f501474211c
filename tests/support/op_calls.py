"""Random calls of the ops in `op_table`, with valid and invalid arguments.

Each call is identified by a seed and a number, so that it can be repeated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from op_table import op_table
from torch import Tensor

from deep3dmap.core.errors import UserError

# Errors that an op may raise for invalid arguments. RuntimeError and IndexError are raised by torch itself.
REFUSALS = (ValueError, TypeError, RuntimeError, IndexError, UserError)
NO_MEMORY = "can't allocate memory"  # not accepted as a refusal: sizes must be checked before allocating memory
SIZES = {"X": 5, "Y": 4, "Z": 9, "V": 9, "F": 12, "H": 12, "W": 12, "K": 4, "C": 9, "D": 9, "N": 40, "M": 40, "P": 60, "B": 3}
ODD_NUMBERS = (float("nan"), float("inf"), -float("inf"), 0.0, 1e-30, 1e6, 3e38, -3e38)
ODD_IDS = (-(2**63), 2**63 - 1, 2**40, 2**31, 2**29, -(2**29), -2, -1)
ODD_COUNTS = (0, -1, 2**12)
ODD_SIDES = (0, -1, 2**12, 2**31)
ODD_ENTRIES = (0, -1, 2**12, 2**40, -(2**63), 2**63 - 1)  # invalid, or too large to allocate


@dataclass(frozen=True)
class Call:
    """A function with its arguments, ready to be called."""

    name: str
    function: Callable[..., Any]
    arguments: list[Any]

    def run(self) -> str:
        """Make the call; returns `ok`, `refused`, or the message of an excessive memory allocation."""
        try:
            self.function(*self.arguments)
        except REFUSALS as error:
            return str(error) if NO_MEMORY in str(error) else "refused"
        return "ok"


def random_call(seed: int, number: int) -> Call:
    """Return one call. Half of the calls have an invalid argument."""
    rng = np.random.default_rng([seed, number])
    table = op_table()
    name = list(table)[int(rng.integers(len(table)))]
    function, words = table[name]
    sizes = {symbol: int(rng.integers(0 if rng.random() < 0.05 else 1, most + 1)) for symbol, most in SIZES.items()}
    given = words.split("; ")
    arguments = [_argument(rng, word, sizes) for word in given]
    if rng.random() < 0.5:
        place = int(rng.integers(len(arguments)))
        arguments[place] = _spoil(rng, given[place], arguments[place])
    return Call(name, function, arguments)


def run_case(seed: int, number: int) -> tuple[str, str]:
    """Make one call; returns the op's name, and `ok`, `refused` or a description of the fault."""
    call = random_call(seed, number)
    try:
        return call.name, call.run()
    except Exception as error:
        return call.name, f"{type(error).__name__}: {error}"


def _argument(rng: np.random.Generator, word: str, sizes: dict[str, int]) -> Any:
    kind, _, rest = word.partition(" ")
    if kind in sizes:
        return sizes[kind]
    if kind == "bool":
        return bool(rng.integers(2))
    if kind == "any":
        return float(rng.choice([0.0, 0.01, 0.5, 1.0, 4.0, 100.0]))
    if kind == "count":
        return int(rng.integers(0, int(rest) + 1))
    if kind == "one":
        return str(rng.choice(rest.split(",")))
    if kind == "list":
        return [int(entry) for entry in rest.split(",")]
    if kind == "ints":
        length, low, high = map(int, rest.split(","))
        return rng.integers(low, high, length).tolist()
    shape, _, bound = rest.partition(" ")
    size = [sizes.get(side) if side in sizes else int(side) for side in shape.split(",") if side]
    if kind == "f":
        return torch.from_numpy(rng.normal(3, 4, size).astype(np.float32))
    if kind == "u":
        return torch.from_numpy(rng.random(size, np.float32))
    if kind in ("b", "u1"):
        return torch.from_numpy(rng.integers(0, 2, size).astype(bool if kind == "b" else np.uint8))
    if kind == "splits":
        cuts = np.sort(rng.integers(0, sizes["P"] + 1, max(size[0] - 1, 0)))
        return torch.from_numpy(np.concatenate([[0], cuts, [sizes["P"]]]).astype(np.int64))
    if kind == "cells":
        batch, axes = rng.integers(0, 3, (size[0], 1)), rng.integers(-6, 7, (size[0], 3))
        return torch.from_numpy(np.unique(np.concatenate([batch, axes], 1), axis=0).astype(np.int32))
    low, high = _range(bound, sizes)
    return torch.from_numpy(rng.integers(low, max(high, low + 1), size).astype(np.int32 if kind == "i4" else np.int64))


def _range(bound: str, sizes: dict[str, int]) -> tuple[int, int]:
    """Return the range of integers for a bound. `V`: ids from 0 to V - 1. `~F`: also -1. A number n: from -n to n."""
    name = bound.removeprefix("~")
    if name in sizes:
        return (-1 if bound.startswith("~") else 0), sizes[name]
    return -int(name or 8), int(name or 8)


def _spoil(rng: np.random.Generator, word: str, given: Any) -> Any:
    if isinstance(given, Tensor):
        return _spoiled(rng, given)
    if isinstance(given, bool | str):
        return None
    if isinstance(given, list):
        place = int(rng.integers(len(given)))
        return [*given[:place], *([int(rng.choice(ODD_ENTRIES))] if rng.random() < 0.8 else []), *given[place + 1 :]]
    if isinstance(given, int):
        return int(rng.choice(ODD_SIDES if word in ("H", "W") else ODD_COUNTS))
    return float(rng.choice(ODD_NUMBERS))


def _spoiled(rng: np.random.Generator, given: Tensor) -> Tensor:
    choice = int(rng.integers(8))
    if choice == 0:
        return given.double() if given.is_floating_point() else given.to(torch.int16)
    if choice == 1 and given.dim():
        return given.narrow(int(rng.integers(given.dim())), 0, 0)
    if choice == 2 and given.dim():
        axis = int(rng.integers(given.dim()))
        return torch.cat([given, given], axis)
    if choice == 3:
        return given[None]
    if choice == 4 and given.dim() > 1:
        return given.transpose(0, -1)
    odd = ODD_NUMBERS if given.is_floating_point() else ODD_IDS
    spoiled = given.clone().reshape(-1)
    for place in rng.integers(0, max(len(spoiled), 1), int(rng.integers(1, 4))) if len(spoiled) else ():
        value = odd[int(rng.integers(len(odd)))]
        spoiled[int(place)] = value if given.is_floating_point() else _within(given.dtype, int(value))
    return spoiled.reshape(given.shape)


def _within(dtype: torch.dtype, value: int) -> int:
    if dtype == torch.bool:
        return value % 2
    return max(torch.iinfo(dtype).min, min(torch.iinfo(dtype).max, value))

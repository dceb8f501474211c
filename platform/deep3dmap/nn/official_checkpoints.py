"""Reads checkpoints of other programs without executing code in them, and reports what does not fit a network."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from deep3dmap.core.errors import UserError
from deep3dmap.nn.weight_files import read_weights

MAX_LISTED_NAMES = 4


def read_checkpoint(file: Path, source: str = "") -> dict[str, Any]:
    """Read a torch checkpoint of tensors and plain values; raises UserError for a missing file or any other content.

    source: where to obtain such files, for the message about a missing one.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such checkpoint{f'; {source}' if source else ''}")
    # Training scripts often save their command line as a Namespace, which is not code.
    with torch.serialization.safe_globals([Namespace]):
        checkpoint = read_weights(file)
    if not isinstance(checkpoint, dict):
        raise UserError(f"{file}: a checkpoint must be a dictionary, this file contains a {type(checkpoint).__name__}")
    return dict(checkpoint)


def get_state_dict(checkpoint: Mapping[str, Any], key: str, file: Path) -> dict[str, Tensor]:
    """Return the state dict at `key`; raises UserError listing the available keys if there is none."""
    state = checkpoint.get(key)
    if not is_state_dict(state):
        raise UserError(f"{file}: no state dict under '{key}'; available keys: {', '.join(sorted(map(str, checkpoint)))}")
    return dict(state)


def is_state_dict(value: Any) -> TypeGuard[Mapping[str, Tensor]]:
    """Return whether a value read from a file maps names to tensors; an optimiser's state has numbers as keys."""
    return isinstance(value, Mapping) and all(isinstance(key, str) and isinstance(held, Tensor) for key, held in value.items())


def get_counter(checkpoint: Mapping[str, Any], key: str) -> int:
    """Return the iteration or epoch stored in a checkpoint under `key`, or -1 if there is none."""
    count = checkpoint.get(key)
    return count if isinstance(count, int) else -1


def strip_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the entries of a state dict whose names begin with `prefix`, with the prefix removed."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def fill(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load a state dict with exactly the module's names and shapes; raises as `check_state_dict` before any change."""
    check_state_dict(state, module.state_dict(), source)
    module.load_state_dict(dict(state))


def check_state_dict(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: str, advice: str = "") -> None:
    """Raise UserError listing missing and unexpected keys and tensors of the wrong shape in a state dict.

    source: file and part that the state came from. advice: what to do about it, appended to the message after a semicolon.
    """
    shapes = {
        f"{name} {tuple(state[name].shape)}, not {tuple(value.shape)}"
        for name, value in expected.items()
        if name in state and state[name].shape != value.shape
    }
    faults = {
        "missing": expected.keys() - state.keys(),
        "unexpected": state.keys() - expected.keys(),
        "of another size": shapes,
    }
    found = [f"{kind}: {_join_names(names)}" for kind, names in faults.items() if names]
    if found:
        advice = f"; {advice}" if advice else ""
        raise UserError(f"{source}: does not fit a network of the configured sizes; keys {'; '.join(found)}{advice}")


def _join_names(names: set[str]) -> str:
    rest = len(names) - MAX_LISTED_NAMES
    return ", ".join(sorted(names)[:MAX_LISTED_NAMES]) + (f" and {rest} more" if rest > 0 else "")

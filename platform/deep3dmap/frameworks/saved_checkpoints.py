"""Checkpoints of runs, verified when they are read."""

import hashlib
import io
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from deep3dmap.core.errors import UserError

SCHEMA_VERSION = 2
# The fields of a checkpoint's description that the platform reads; a run may add others.
_STATE = ("method", "loop", "averaged", "ranks")
_ABOUT: dict[str, type | tuple[type, ...]] = {"step": int, "state_sha256": str, "seconds": (int, float), "metrics": dict}


@dataclass(frozen=True)
class Checkpoint:
    """An intact checkpoint on disk. about: plain data (method, config, step, metrics)."""

    folder: Path
    about: dict[str, Any]

    @property
    def step(self) -> int:
        """Optimisation steps taken when it was written."""
        return int(self.about["step"])

    def weights(self) -> dict[str, Any]:
        """Return what the method is used with: its averaged weights where they were kept; raises as `state` does."""
        return weights_of(self.state())

    def state(self, device: str = "cpu") -> dict[str, Any]:
        """Load the tensors and plain data, nothing else; raises UserError if they differ from what was written."""
        data = (self.folder / "state.pt").read_bytes()
        if hashlib.sha256(data).hexdigest() != self.about["state_sha256"]:
            raise UserError(f"{self.folder}: state.pt is damaged (hash mismatch); use another checkpoint")
        try:
            loaded = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
        except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
            raise UserError(f"{self.folder}: state.pt contains something other than tensors and plain data") from error
        if not isinstance(loaded, dict) or not set(_STATE) <= loaded.keys():
            raise UserError(f"{self.folder}: state.pt lacks {', '.join(_STATE)}; use another checkpoint")
        return loaded


def read_checkpoint(folder: Path) -> Checkpoint:
    """Open a checkpoint; raises UserError if the folder is not one, or has another schema version."""
    file = folder / "checkpoint.json"
    if not file.is_file():
        raise UserError(
            f"{folder}: no checkpoint.json, so this is not a checkpoint (they are in RESULTS/work/RUN_ID/checkpoints/)"
        )
    try:
        about = json.loads(file.read_text())
    except ValueError as error:
        raise UserError(f"{file}: damaged ({error}); use another checkpoint") from error
    if not isinstance(about, dict) or about.get("schema") != SCHEMA_VERSION:
        found = about.get("schema") if isinstance(about, dict) else "unknown"
        raise UserError(f"{file}: checkpoint schema {found}; this version of deep3dmap reads {SCHEMA_VERSION}")
    wrong = [name for name, kind in _ABOUT.items() if not isinstance(about.get(name), kind)]
    if wrong:
        raise UserError(f"{file}: field '{wrong[0]}' is missing or has the wrong type; use another checkpoint")
    return Checkpoint(folder, about)


def weights_of(state: dict[str, Any]) -> dict[str, Any]:
    """Return the averaged weights of a checkpoint's state where they were kept, else its weights."""
    weights: dict[str, Any] = state["averaged"] or state["method"]
    return weights

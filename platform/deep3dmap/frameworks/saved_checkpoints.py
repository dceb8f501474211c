"""Reading and verifying the checkpoints of runs."""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from deep3dmap.core.errors import UserError

SCHEMA_VERSION = 2
_STATE = {"method": dict, "loop": dict, "averaged": (dict, type(None)), "ranks": list}
# The fields of a checkpoint's description that the platform reads; a run may add others.
_NUMBER = (int, float)
_ABOUT = {"step": int, "score": (*_NUMBER, type(None)), "state_sha256": str, "seconds": _NUMBER, "metrics": dict}
# Additional fields that describe its run.
_RUN = {**dict.fromkeys(("method", "variant", "dataset", "dataset_variant"), str), "config": dict}


@dataclass(frozen=True)
class Checkpoint:
    """An intact checkpoint on disk. about: plain data (method, config, step, metrics)."""

    folder: Path
    about: dict[str, Any]

    @property
    def step(self) -> int:
        """Number of completed steps when it was written."""
        return int(self.about["step"])

    def of_run(self) -> dict[str, Any]:
        """Return `about` if it fully describes the run; raises UserError for a field that is missing or has the wrong type."""
        _check(self.folder / "checkpoint.json", self.about, _RUN)
        return self.about

    def weights(self) -> dict[str, Any]:
        """Return the weights for inference: the averaged weights if they were saved; raises like `state`."""
        return weights_of(self.state())

    def state(self, device: str = "cpu") -> dict[str, Any]:
        """Load the state, accepting only tensors and plain data; raises UserError if the file is damaged or incomplete."""
        try:
            data = (self.folder / "state.pt").read_bytes()
        except OSError as error:
            raise UserError(f"{self.folder}: state.pt: {error.strerror}; use another checkpoint") from error
        if hashlib.sha256(data).hexdigest() != self.about["state_sha256"]:
            raise UserError(f"{self.folder}: state.pt is damaged (hash mismatch); use another checkpoint")
        try:
            loaded = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
        except Exception as error:  # the exception that torch raises depends on the damage
            raise UserError(f"{self.folder}: state.pt contains something other than tensors and plain data") from error
        if not isinstance(loaded, dict) or not _STATE.keys() <= loaded.keys():
            raise UserError(f"{self.folder}: state.pt lacks {', '.join(_STATE)}; use another checkpoint")
        _check(self.folder / "state.pt", loaded, _STATE)
        return loaded


def read_checkpoint(folder: Path) -> Checkpoint:
    """Open a checkpoint; raises UserError if the folder is not a checkpoint or has a different schema version."""
    file = folder / "checkpoint.json"
    if not file.is_file():
        raise UserError(
            f"{folder}: no checkpoint.json, so this is not a checkpoint (they are in RESULTS/work/RUN_ID/checkpoints/)"
        )
    try:
        about = json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: damaged ({error}); use another checkpoint") from error
    if not isinstance(about, dict) or about.get("schema") != SCHEMA_VERSION:
        found = about.get("schema") if isinstance(about, dict) else "unknown"
        raise UserError(f"{file}: checkpoint schema {found}; this version of deep3dmap reads {SCHEMA_VERSION}")
    _check(file, {"score": None, **about}, _ABOUT)
    return Checkpoint(folder, {"score": None, **about})


def _check(file: Path, about: dict[str, Any], kinds: dict[str, Any]) -> None:
    wrong = [name for name, kind in kinds.items() if not isinstance(about.get(name), kind)]
    if wrong:
        raise UserError(f"{file}: field '{wrong[0]}' is missing or has the wrong type; use another checkpoint")


def weights_of(state: dict[str, Any]) -> dict[str, Any]:
    """Return the averaged weights in a checkpoint's state if they were saved, otherwise its weights."""
    weights: dict[str, Any] = state["averaged"] or state["method"]
    return weights

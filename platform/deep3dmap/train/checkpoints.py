"""Checkpoints: written atomically, verified when read, and the newest intact one is found after any crash."""

import hashlib
import io
import json
import os
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from deep3dmap.core.errors import UserError
from deep3dmap.train.retry import retried

SCHEMA_VERSION = 2
# The fields of a checkpoint's description that the platform reads; a run may add others.
_STATE = ("method", "loop", "averaged", "ranks")
_ABOUT: dict[str, type | tuple[type, ...]] = {"step": int, "state_sha256": str, "seconds": (int, float), "metrics": dict}
# Besides the best one: if the last is damaged, the one before it is used.
KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """An intact checkpoint on disk. about: plain data (method, config, step, metrics)."""

    folder: Path
    about: dict[str, Any]

    @property
    def step(self) -> int:
        """Optimisation steps taken when it was written."""
        return int(self.about["step"])

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


class CheckpointFolder:
    """The checkpoints of one run; keeps the best and the last two."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, state: dict[str, Any], about: Mapping[str, Any], step: int, score: float | None) -> Checkpoint:
        """Write a checkpoint under a temporary name, sync it to disk, rename it, then delete all but the best and newest.

        score: lower is better; None where nothing was validated.
        """
        buffer = io.BytesIO()
        torch.save(state, buffer)
        data = buffer.getvalue()
        full = {
            **about,
            "schema": SCHEMA_VERSION,
            "step": step,
            "score": score,
            "state_sha256": hashlib.sha256(data).hexdigest(),
        }
        final = self.folder / f"step_{step:09d}"
        self._drop_half_written()
        try:
            retried(lambda: _write_whole(final, {"state.pt": data, "checkpoint.json": json.dumps(full, indent=1).encode()}))
        except OSError as error:
            raise UserError(
                f"{self.folder}: cannot write the checkpoint of step {step}: {error.strerror}; free space or change results="
            ) from error
        self._drop_all_but_best_and_newest()
        return Checkpoint(final, full)

    def whole(self) -> list[Checkpoint]:
        """Return the checkpoints that can be opened, oldest first."""
        found = []
        for folder in sorted(self.folder.glob("step_*")):
            try:
                found.append(read_checkpoint(folder))
            except UserError:
                continue
        return found

    def newest(self) -> tuple[Checkpoint, dict[str, Any]] | None:
        """Return the newest intact checkpoint with its state, skipping damaged ones.

        Raises UserError if there are checkpoints and all are damaged: starting over would discard what was trained.
        """
        for checkpoint in reversed(self.whole()):
            try:
                return checkpoint, checkpoint.state()
            except (UserError, OSError) as error:
                print(f"skipping a damaged checkpoint: {error}")
        if any(self.folder.glob("step_*")):
            raise UserError(f"{self.folder}: all checkpoints are damaged; delete the folder to start over")
        return None

    def best(self) -> Checkpoint | None:
        """Return the checkpoint with the lowest score, or the last one if none has a score."""
        checkpoints = self.whole()
        scored = [c for c in checkpoints if c.about["score"] is not None]
        return min(scored, key=lambda c: (c.about["score"], -c.step)) if scored else (checkpoints[-1] if checkpoints else None)

    def _drop_half_written(self) -> None:
        """Delete what a killed process left behind; a run has a single writer, this process."""
        for left in self.folder.glob(".writing_*"):
            shutil.rmtree(left, ignore_errors=True)

    def _drop_all_but_best_and_newest(self) -> None:
        checkpoints = self.whole()
        best = self.best()
        for checkpoint in checkpoints[:-KEPT]:
            if best is not None and checkpoint.folder != best.folder:
                shutil.rmtree(checkpoint.folder, ignore_errors=True)


def _write_whole(final: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files under a temporary name, then rename it."""
    temporary = final.with_name(f".writing_{final.name}_{os.getpid()}")
    try:
        temporary.mkdir(parents=True)
        for name, data in files.items():
            _write_durably(temporary / name, data)
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _write_durably(file: Path, data: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())

"""Checkpoints, written atomically and verified when read, so that the newest intact one can be found after any crash."""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from deep3dmap.core.errors import UserError
from deep3dmap.frameworks.saved_checkpoints import SCHEMA_VERSION, Checkpoint, read_checkpoint
from deep3dmap.train.retry import call_with_retries

# Newest checkpoints to keep besides the best one: if the last is damaged, the one before it is used.
KEPT = 2


class CheckpointFolder:
    """The checkpoints of one run; the best and the last two are kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, state: dict[str, Any], about: Mapping[str, Any], step: int, score: float | None) -> Checkpoint:
        """Write a checkpoint under a temporary name, sync it to disk, rename it, then delete all but the best and newest.

        score: lower is better; None if there was no validation.
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
        self._delete_incomplete()
        try:
            call_with_retries(
                lambda: _write_atomically(final, {"state.pt": data, "checkpoint.json": json.dumps(full, indent=1).encode()})
            )
        except OSError as error:
            raise UserError(
                f"{self.folder}: cannot write the checkpoint of step {step}: {error.strerror}; free space or change results="
            ) from error
        self._delete_superseded()
        return Checkpoint(final, full)

    def list_complete(self) -> list[Checkpoint]:
        """Return the readable checkpoints, oldest first."""
        found = []
        for folder in sorted(self.folder.glob("step_*")):
            try:
                found.append(read_checkpoint(folder))
            except UserError:
                continue
        return found

    def newest(self) -> tuple[Checkpoint, dict[str, Any]] | None:
        """Return the newest intact checkpoint with its state, skipping damaged ones.

        Raises UserError if there are checkpoints but all are damaged, because starting over would discard the training.
        """
        for checkpoint in reversed(self.list_complete()):
            try:
                return checkpoint, checkpoint.state()
            except (UserError, OSError) as error:
                print(f"skipping a damaged checkpoint: {error}")
        if any(self.folder.glob("step_*")):
            raise UserError(f"{self.folder}: all checkpoints are damaged; delete the folder to start over")
        return None

    def best(self) -> Checkpoint | None:
        """Return the checkpoint with the lowest score, or the last one if none has a score."""
        checkpoints = self.list_complete()
        scored = [c for c in checkpoints if c.about["score"] is not None]
        return min(scored, key=lambda c: (c.about["score"], -c.step)) if scored else (checkpoints[-1] if checkpoints else None)

    def _delete_incomplete(self) -> None:
        """Delete incomplete checkpoints of a killed process. A run has a single writer, this process."""
        for folder in self.folder.glob(".writing_*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _delete_superseded(self) -> None:
        checkpoints = self.list_complete()
        best = self.best()
        for checkpoint in checkpoints[:-KEPT]:
            if best is not None and checkpoint.folder != best.folder:
                shutil.rmtree(checkpoint.folder, ignore_errors=True)


def _write_atomically(final: Path, files: Mapping[str, bytes]) -> None:
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

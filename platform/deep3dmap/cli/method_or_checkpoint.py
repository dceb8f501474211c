"""Distinguishes checkpoints from methods where an argument may be either, without importing torch."""

from pathlib import Path

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import is_written_as_path
from deep3dmap.core.registry import methods


def is_checkpoint(named: str) -> bool:
    """Return whether an argument names a checkpoint rather than a method."""
    return "://" in named or Path(named).is_dir()


def check_method_or_checkpoint(name: str) -> None:
    """Raise UserError if an argument names neither a checkpoint folder nor a registered method."""
    if is_checkpoint(name):
        return
    path = Path(name)
    if (path.parent / "checkpoint.json").is_file():
        raise UserError(f"{name}: give the folder of the checkpoint: {path.parent}")
    if path.is_file():
        raise UserError(f"{name} is a file; a checkpoint is a folder (RESULTS/work/RUN_ID/checkpoints/step_...)")
    if is_written_as_path(name) and ":" not in name:
        raise UserError(f"{name}: no such checkpoint folder, and no method of that name")
    methods.check(name if ":" in name else name.partition("/")[0])

"""Weights that a run or an inference starts from."""

from pathlib import Path
from typing import Any

from deep3dmap.core.errors import UserError
from deep3dmap.core.method import Method
from deep3dmap.frameworks.saved_checkpoints import read_checkpoint, weights_of


def load_for_inference(method: Method, state: dict[str, Any]) -> None:
    """Load a checkpoint's averaged weights where they were kept, else its weights."""
    method.load_state_dict(weights_of(state))


def initialize(method: Method, folder: Path, name: str) -> None:
    """Start `method`, registered as `name`, from another run's weights: all of its own method's, parts of another's.

    Raises UserError if the weights do not fit or the method takes nothing from there.
    """
    checkpoint = read_checkpoint(folder)
    kept, state = checkpoint.about["method"], checkpoint.state()
    if kept != name:
        try:
            method.take_parts(kept, weights_of(state))
        except UserError as error:
            raise UserError(f"{folder}: a checkpoint of '{kept}', not of '{name}': {error}") from error
        return
    try:
        load_for_inference(method, state)
    except (RuntimeError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: its weights do not fit this configuration ({str(error).splitlines()[0]})") from error

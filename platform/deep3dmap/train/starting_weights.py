"""Loads the initial weights of a training or inference run."""

from pathlib import Path
from typing import Any

from deep3dmap.core.errors import UserError
from deep3dmap.core.method import Method
from deep3dmap.frameworks.saved_checkpoints import read_checkpoint, weights_of


def load_weights(method: Method, weights: Any, folder: Path) -> None:
    """Load a method's state from the checkpoint in `folder`; raises UserError if it does not fit."""
    try:
        method.load_state_dict(weights)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{folder}: its weights do not fit this configuration ({why}); use another checkpoint") from error


def initialize(method: Method, folder: Path, name: str) -> None:
    """Initialise `method`, registered as `name`, from another run: with all weights of the same method, or parts of another.

    Raises UserError if the weights do not fit, or if the method accepts no parts of the other method.
    """
    checkpoint = read_checkpoint(folder)
    source_method, state = checkpoint.of_run()["method"], checkpoint.state()
    if source_method != name:
        try:
            method.take_parts(source_method, weights_of(state))
        except UserError as error:
            raise UserError(f"{folder}: a checkpoint of '{source_method}', not of '{name}': {error}") from error
        return
    load_weights(method, weights_of(state), folder)

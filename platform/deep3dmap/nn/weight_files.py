"""Reads weights saved by third-party code without executing anything in the file."""

import pickle
import re
from pathlib import Path
from typing import Any

import torch

from deep3dmap.core.errors import UserError


def read_weights(file: Path) -> Any:
    """Load a file written by `torch.save` onto the CPU: tensors, numbers and strings in plain containers.

    Raises UserError for a file that cannot be read, is damaged or not a torch file, or contains other Python objects.
    """
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged archive or pickle can raise any exception
        if isinstance(error, pickle.UnpicklingError) and re.search("(?i)unsupported (global|class)", str(error)):
            raise UserError(
                f"{file}: contains Python objects besides tensors; they are not loaded because they could run code"
            ) from error
        raise UserError(f"{file}: not a checkpoint saved by torch, or a damaged one") from error

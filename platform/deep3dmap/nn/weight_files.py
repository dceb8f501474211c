"""Weights saved by others' code, read without running anything that a file may hold."""

import pickle
import re
from pathlib import Path
from typing import Any

import torch

from deep3dmap.core.errors import UserError


def read_weights(file: Path) -> Any:
    """Return what `torch.save` wrote, on the CPU: tensors, numbers and texts in plain containers.

    Raises UserError for a file that cannot be read, that is damaged or no such file, or that holds other Python objects.
    """
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged archive or pickle raises whatever its bytes lead to
        if isinstance(error, pickle.UnpicklingError) and re.search("(?i)unsupported (global|class)", str(error)):
            raise UserError(
                f"{file}: holds Python objects beside its tensors; they are not loaded, as they could run code"
            ) from error
        raise UserError(f"{file}: not a checkpoint saved by torch, or a damaged one") from error

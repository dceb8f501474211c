"""Weights shipped with a method: a half-precision file and a card, stored next to the method's module."""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deep3dmap.core.asset import SHIPPED_CARD, SHIPPED_FILE
from deep3dmap.core.errors import UserError
from deep3dmap.data.cache import write_file

NETWORK = "network."


def write_shipped(state: Mapping[str, Tensor], card: Mapping[str, Any], folder: Path) -> Path:
    """Write the network in a method's state, and its card, to the method's `folder`; returns the weights file.

    Matrices and kernels are stored in half precision; vectors, such as batch statistics, are unchanged. Raises UserError if the
    state has no tensors under `network.`.
    """
    network = {name.removeprefix(NETWORK): _to_half(value) for name, value in state.items() if name.startswith(NETWORK)}
    if not network:
        modules = sorted({name.partition(".")[0] for name in state})
        raise UserError(
            f"{card['method']}: only the weights of a module called `network` can be shipped, and this method has "
            f"{', '.join(modules) or 'none'}; put its networks into self.network"
        )
    buffer = io.BytesIO()
    torch.save({"state_dict": network, "card": dict(card)}, buffer)
    data = buffer.getvalue()
    write_file(folder / SHIPPED_FILE, data)
    shipped_card = {**card, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    write_file(folder / SHIPPED_CARD, (json.dumps(shipped_card, indent=1) + "\n").encode())
    for name in (SHIPPED_FILE, SHIPPED_CARD):
        # Readable by everyone who can read the package.
        (folder / name).chmod(0o644)
    return folder / SHIPPED_FILE


def _to_half(value: Tensor) -> Tensor:
    value = value.detach().cpu()
    return value.half() if value.dim() > 1 and value.dtype == torch.float32 else value.clone()

"""Weights shipped with a method: a compressed half-precision file and a card, stored next to the method's module."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deep3dmap.core.asset import SHIPPED_CARD, SHIPPED_FILE
from deep3dmap.core.errors import UserError
from deep3dmap.data.cache import write_file

NETWORK = "network."
MANTISSA_BITS = 6  # of the 10 in half precision; the others are 0, which compresses the file by a quarter


def write_shipped(state: Mapping[str, Tensor], card: Mapping[str, Any], folder: Path) -> Path:
    """Write the network in a method's state, and its card, to the method's `folder`; returns the weights file.

    Matrices and kernels are stored in half precision, rounded to `MANTISSA_BITS`; vectors, such as batch statistics, are
    unchanged. The file is that of `torch.save`, compressed. Raises UserError if the state has no tensors under `network.`.
    """
    network = {name.removeprefix(NETWORK): _round_matrices(value) for name, value in state.items() if name.startswith(NETWORK)}
    if not network:
        modules = sorted({name.partition(".")[0] for name in state})
        raise UserError(
            f"{card['method']}: only the weights of a module called `network` can be shipped, and this method has "
            f"{', '.join(modules) or 'none'}; put its networks into self.network"
        )
    data = _compressed({"state_dict": network, "card": dict(card)})
    write_file(folder / SHIPPED_FILE, data)
    shipped_card = {**card, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    write_file(folder / SHIPPED_CARD, (json.dumps(shipped_card, indent=1) + "\n").encode())
    for name in (SHIPPED_FILE, SHIPPED_CARD):
        # Readable by everyone who can read the package.
        (folder / name).chmod(0o644)
    return folder / SHIPPED_FILE


def _round_matrices(value: Tensor) -> Tensor:
    value = value.detach().cpu()
    return round_mantissa(value.half(), MANTISSA_BITS) if value.dim() > 1 and value.dtype == torch.float32 else value.clone()


def round_mantissa(values: Tensor, bits: int) -> Tensor:
    """Round half-precision values to the nearest with `bits` of mantissa (1 to 10); exact ties go away from zero."""
    dropped = 10 - bits
    pattern = values.view(torch.int16).to(torch.int32) + (1 << dropped >> 1)
    return (pattern >> dropped << dropped).to(torch.int16).view(torch.float16)


def _compressed(content: Any) -> bytes:
    """Return a file of `torch.save` whose records are deflated; `torch.load` reads it like any other."""
    plain, packed = io.BytesIO(), io.BytesIO()
    torch.save(content, plain)
    with zipfile.ZipFile(plain) as records, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for record in records.infolist():
            archive.writestr(zipfile.ZipInfo(record.filename), records.read(record), zipfile.ZIP_DEFLATED, 9)
    return packed.getvalue()

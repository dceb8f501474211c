"""Networks from the published checkpoints of GAN2Shape, and from the older deep3dmap's, which have different names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from deep3dmap.core.errors import UserError
from deep3dmap.methods.gan2shape.networks import ShapeNetworks
from deep3dmap.nn.official_checkpoints import fill, is_state_dict
from deep3dmap.nn.weight_files import read_weights

# Our names: the published name, the older deep3dmap's name.
NAMES = {
    "depth": ("netD", "depth_head"),
    "albedo": ("netA", "albedo_head"),
    "view": ("netV", "view_head"),
    "light": ("netL", "light_head"),
    "offset": ("netEnc", "encoder_head"),
}


def load_networks(networks: ShapeNetworks, path: Path) -> None:
    """Load all five networks from a file {name: state dict}, ignoring optimisers and counters.

    Raises UserError naming the file and the network if one is missing or does not fit.
    """
    content = read_weights(path)
    for ours, names in NAMES.items():
        state = _state(content, names, path)
        fill(getattr(networks, ours), state, f"{path}: {names[0]}")


def _state(content: Any, names: tuple[str, ...], path: Path) -> Mapping[str, torch.Tensor]:
    found: object = next((content[name] for name in names if isinstance(content, Mapping) and name in content), None)
    if not is_state_dict(found):
        raise UserError(f"{path}: contains no network {names[0]} (or {names[1]})")
    # Networks trained on several devices have a prefix in their parameter names.
    return {name.removeprefix("module."): value for name, value in found.items()}

"""Reading checkpoints of the official code, such as `ckpt/030000.pt`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from deep3dmap.core.errors import UserError
from deep3dmap.nn.official_checkpoints import fill, get_counter, get_state_dict, strip_prefix

# The key of each network's state in the file.
KEYS = {"generator": "g", "discriminator": "d", "inversion network": "i", "training poses": "t", "validation poses": "v"}


def from_official_generator(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of an official generator ("nerf.xyz_encoding_1.0.weight") to ours; raises ValueError if unknown."""
    return {f"nerf.{name}": value for name, value in from_official_names(strip_prefix(state, "nerf.")).items()}


def load_official(checkpoint: Mapping[str, Any], networks: Mapping[str, nn.Module], file: Path) -> int:
    """Load networks, named as in `KEYS`, from an official checkpoint read from `file`; returns its iteration number.

    Raises UserError naming the file and the keys that are missing, unexpected or of a different shape.
    """
    for name, network in networks.items():
        state = get_state_dict(checkpoint, KEYS[name], file)
        if name == "generator":
            try:
                state = from_official_generator(state)
            except ValueError as error:
                raise UserError(f"{file}: generator: {error}") from error
        fill(network, state, f"{file}: {name}")
    return get_counter(checkpoint, "it")


def from_official_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of GNeRF's network ("xyz_encoding_1.0.weight", "sigma.bias") to those of `NeRFMLP`.

    Raises ValueError for a name that is not in the network.
    """
    return {_our_name(name): value for name, value in state.items()}


def _our_name(name: str) -> str:
    layer, _, kind = name.rpartition(".")
    heads = {"sigma": "density_head", "xyz_encoding_final": "feature", "rgb.0": "color_head.0", "rgb.2": "color_head.2"}
    if found := re.fullmatch(r"xyz_encoding_(\d+)\.0", layer):
        return f"trunk.{int(found[1]) - 1}.{kind}"
    if layer not in heads:
        raise ValueError(f"'{name}' is not a tensor of GNeRF's network")
    return f"{heads[layer]}.{kind}"

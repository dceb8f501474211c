"""Reading the checkpoints of the official code, such as `ckpt/030000.pt`."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from deep3dmap.core.errors import UserError
from deep3dmap.nn.official_checkpoints import fill, read_checkpoint, state_under, strip_prefix
from deep3dmap.nn.radiance.nerf_mlp import from_gnerf_names

# Where each network's state is in the file.
KEYS = {"generator": "g", "discriminator": "d", "inversion network": "i", "training poses": "t", "validation poses": "v"}


def from_official_generator(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of an official generator ("nerf.xyz_encoding_1.0.weight") to ours; raises ValueError for others."""
    return {f"nerf.{name}": value for name, value in from_gnerf_names(strip_prefix(state, "nerf.")).items()}


def load_official(file: Path, networks: Mapping[str, nn.Module]) -> int:
    """Fill networks, named as in `KEYS`, from an official checkpoint and return the iteration it was saved at.

    Raises UserError naming keys that are missing, unexpected or of another size.
    """
    checkpoint = read_checkpoint(file)
    for name, network in networks.items():
        state = state_under(checkpoint, KEYS[name], file)
        if name == "generator":
            try:
                state = from_official_generator(state)
            except ValueError as error:
                raise UserError(f"{file}: generator: {error}") from error
        fill(network, state, f"{file}: {name}")
    return int(checkpoint.get("it", -1))

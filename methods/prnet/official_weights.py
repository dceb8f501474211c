"""Loading the weights of the official code (a TensorFlow checkpoint) or of its PyTorch ports (a state dict)."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from deep3dmap.core import UserError
from deep3dmap.data.formats.tensorflow_checkpoint import is_tensorflow_checkpoint, read_variables
from deep3dmap.nn import ResFCN256, from_legacy_names, from_tensorflow_names, from_tensorflow_variables
from deep3dmap.nn.official_checkpoints import check_state_dict, is_state_dict
from deep3dmap.nn.weight_files import read_weights

SCOPE = "resfcn256/"
ADVICE = "use the variant `paper`, which has the official sizes (for the older port also set method.padding=legacy)"


def load_official(network: ResFCN256, file: Path) -> bool:
    """Load the weights in `file` into the network; returns True for third-party weights, False for this package's own export.

    file: `256_256_resfcn256_weight`, with or without .index or .data-00000-of-00001; or a .pt or .pth state dict with the
    parameter names of the official code, of the older deep3dmap port or of this network. Raises UserError naming the keys that
    are missing, unexpected or of a different shape, and leaves the network unchanged.
    """
    state, exported = (_read_tensorflow(file), False) if is_tensorflow_checkpoint(file) else _read_torch(file)
    ours = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    check_state_dict(state, ours, str(file), ADVICE)
    network.load_state_dict(state, strict=False)
    return not exported


def _read_tensorflow(file: Path) -> dict[str, Tensor]:
    variables = read_variables(file, lambda name: name.startswith(SCOPE) and "/Adam" not in name)
    try:
        return from_tensorflow_variables({name: torch.from_numpy(value) for name, value in variables.items()})
    except (ValueError, KeyError) as error:
        raise UserError(f"{file}: not a checkpoint of PRNet ({error})") from error


def _read_torch(file: Path) -> tuple[dict[str, Tensor], bool]:
    """Return a state dict and whether it was exported by this package, whose exports include a card."""
    if not file.is_file():
        raise UserError(f"{file}: weights not found; give 256_256_resfcn256_weight, linked from PRNet's README, or a .pth")
    loaded = read_weights(file)
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not is_state_dict(state) or not state:
        raise UserError(f"{file}: contains no state dict of tensors")
    try:
        return _rename_keys(state), "card" in loaded
    except (ValueError, KeyError, IndexError) as error:
        raise UserError(f"{file}: not a checkpoint of PRNet ({error})") from error


def _rename_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    first = next(iter(state))
    if first.startswith(("resfcn256", "Conv", "resBlock")):
        return from_tensorflow_names(state)
    if any(name.startswith("layer1.") for name in state):
        return from_legacy_names(state)
    return dict(state)

"""Renames ResFCN256's tensors from the names in third-party checkpoints."""

import re
from collections.abc import Mapping

from torch import Tensor

_BLOCK_PARTS = {"shortcut": "shortcut", "Conv": "reduce", "Conv_1": "spatial", "Conv_2": "expand"}
_LEGACY_PARTS = {"conv1": "reduce", "bn1": "reduce_norm", "conv2": "spatial", "bn2": "spatial_norm", "conv3": "expand"}
_LEGACY_PARTS |= {"bn3": "norm", "downsample": "shortcut"}


def from_tensorflow_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename tensors in torch layout from the official names ("resfcn256.resBlock_1.Conv.BatchNorm.weight") to ours.

    The parts may be separated by slashes or dots. Raises ValueError for a name that the network does not have.
    """
    return {_our_name(name): value for name, value in state.items()}


def from_tensorflow_variables(variables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the variables of an official checkpoint (TensorFlow names and axes) to our state dict.

    Convolutions are (k, k, in, out), transposed ones (k, k, out, in); the same permutation converts both to torch's layout.
    Optimiser slots are dropped. Raises ValueError for a name that the network does not have.
    """
    kept = {name: value for name, value in variables.items() if not re.search(r"/Adam(_\d+)?$|beta\d_power$", name)}
    state = {_our_name(name): value.permute(3, 2, 0, 1) if value.dim() == 4 else value for name, value in kept.items()}
    return {name: value.contiguous() for name, value in state.items()}


def from_legacy_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the older deep3dmap port ("layer1.0.conv2.weight") to ours; use them with padding "legacy"."""
    decoder = sorted({int(name.split(".")[1]) for name in state if name.startswith("decoder.") and state[name].dim() == 4})
    return {_name_of_legacy(name, decoder): value for name, value in state.items()}


def _our_name(name: str) -> str:
    parts = name.replace("/", ".").removeprefix("resfcn256.").split(".")
    kinds = {"weights": "weight", "gamma": "weight", "beta": "bias"}
    kinds |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    layer, inner, kind = parts[0], parts[1:-1], kinds.get(parts[-1], parts[-1])
    norm = bool(inner) and inner[-1] == "BatchNorm"
    found = re.fullmatch(r"(Conv|resBlock|Conv2d_transpose)(?:_(\d+))?", layer)
    if found is None:
        raise ValueError(f"'{name}' is not a layer of ResFCN256")
    number = int(found[2] or 0)
    if found[1] == "Conv":
        return f"stem_norm.{kind}" if norm else f"stem.{kind}"
    if found[1] == "Conv2d_transpose":
        return f"decoder.{number}.{'norm' if norm else 'conv'}.{kind}"
    part = "".join(f"{_BLOCK_PARTS[p]}_" for p in inner if p != "BatchNorm")
    return f"encoder.{number}.{part}norm.{kind}" if norm else f"encoder.{number}.{part.rstrip('_')}.{kind}"


def _name_of_legacy(name: str, decoder: list[int]) -> str:
    parts = name.split(".")
    if parts[0] in ("conv1", "bn1"):
        return f"{'stem' if parts[0] == 'conv1' else 'stem_norm'}.{parts[1]}"
    if parts[0] == "decoder":
        number = int(parts[1])
        layer, part = (number, "conv") if number in decoder else (number - 1, "norm")
        return f"decoder.{decoder.index(layer)}.{part}.{parts[2]}"
    block = 2 * (int(parts[0].removeprefix("layer")) - 1) + int(parts[1])
    return f"encoder.{block}.{_LEGACY_PARTS[parts[2]]}.{parts[-1]}"

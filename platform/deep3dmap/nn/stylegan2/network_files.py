"""Loads networks from checkpoint files: detects the naming and the network size, and checks that the tensors fit."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.nn.official_checkpoints import fill, is_state_dict
from deep3dmap.nn.stylegan2.discriminator import Discriminator
from deep3dmap.nn.stylegan2.generator import Generator
from deep3dmap.nn.stylegan2.names import Part, to_our_names
from deep3dmap.nn.stylegan2.sizes import StyleGAN2Size
from deep3dmap.nn.weight_files import read_weights

# Keys of the networks in checkpoints that contain several, the averaged generator first.
_PLACES: dict[Part, tuple[str, ...]] = {"generator": ("g_ema", "G_ema", "g", "G"), "discriminator": ("d", "D")}


def load_generator(path: Path) -> Generator:
    """Load the averaged generator of a checkpoint, of any size.

    Raises UserError naming the file if `state_from_file` rejects it or if the tensor shapes are inconsistent.
    """
    return generator_of(state_from_file(path, "generator"), str(path))


def load_discriminator(path: Path) -> Discriminator:
    """Load the discriminator of a checkpoint; raises as `load_generator` does."""
    return discriminator_of(state_from_file(path, "discriminator"), str(path))


def generator_of(state: Mapping[str, Tensor], source: str) -> Generator:
    """Build the generator from its tensors (our names). Raises UserError naming the source if they are inconsistent."""
    network = Generator(_infer_size(infer_generator_size, state, source))
    fill(network, state, source)
    return network


def discriminator_of(state: Mapping[str, Tensor], source: str) -> Discriminator:
    """Build the discriminator from its tensors (our names); raises as `generator_of` does."""
    network = Discriminator(_infer_size(infer_discriminator_size, state, source))
    fill(network, state, source)
    return network


def _infer_size(
    read: Callable[[Mapping[str, Tensor]], StyleGAN2Size], state: Mapping[str, Tensor], source: str
) -> StyleGAN2Size:
    try:
        return read(state)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None


def state_from_file(path: Path, part: Part) -> dict[str, Tensor]:
    """Read a torch file with the tensors of one or several networks, and return those of `part` under our names.

    Raises UserError naming the file if it cannot be read, contains no such network, or uses an unknown naming scheme.
    """
    # rosinality's files also contain the options of the training program.
    with torch.serialization.safe_globals([argparse.Namespace]):
        content = read_weights(path)
    state = _find_network(content, part)
    if state is None:
        raise UserError(f"{path}: contains no {part}; expected its tensors, or a key {' or '.join(_PLACES[part])} with them")
    try:
        return to_our_names(state, part)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _find_network(content: Any, part: Part) -> Mapping[str, Tensor] | None:
    if not isinstance(content, Mapping):
        return None
    for place in _PLACES[part]:
        if is_state_dict(content.get(place)):
            return content[place]
    return content if content and is_state_dict(content) else None


def infer_generator_size(state: Mapping[str, Tensor]) -> StyleGAN2Size:
    """Infer the size from a generator's tensors (our names). Raises UserError for channel counts that match no size."""
    pictures = _count(state, "synthesis.to_rgb.")
    channels = {
        2 ** (block + 2): len(_require_tensor(state, f"synthesis.layers.{2 * block}.bias")) for block in range(pictures)
    }
    style = len(_require_tensor(state, "mapping.layers.0.bias"))
    return _size(channels, style, _count(state, "mapping.layers."))


def infer_discriminator_size(state: Mapping[str, Tensor]) -> StyleGAN2Size:
    """Infer the size from a discriminator's tensors (our names); style_dim and mapping_layers are not meaningful."""
    blocks = _count(state, "blocks.")
    top = 2 ** (blocks + 2)
    channels = {top: len(_require_tensor(state, "from_rgb.bias"))}
    channels |= {top // 2 ** (block + 1): len(_require_tensor(state, f"blocks.{block}.second.bias")) for block in range(blocks)}
    return _size(channels, 512, 8)


def _count(state: Mapping[str, Tensor], start: str) -> int:
    return len({name.removeprefix(start).split(".")[0] for name in state if name.startswith(start)})


def _require_tensor(state: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in state:
        raise UserError(f"the tensor '{name}' is missing")
    return state[name]


def _size(channels: Mapping[int, int], style_dim: int, mapping_layers: int) -> StyleGAN2Size:
    top, largest = max(channels), max(channels.values())
    base = max(side * count for side, count in channels.items() if count < largest or side == top)
    size = StyleGAN2Size(top, style_dim, mapping_layers, base, largest)
    for side, count in channels.items():
        if size.channels(side) != count:
            raise UserError(f"channels {dict(channels)} are not min({largest}, {base} / side) at {side} pixels")
    return size

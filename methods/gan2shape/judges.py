"""Frozen networks that look at pictures: the perceptual distance, and the mask of the object."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deep3dmap.core.errors import UserError
from deep3dmap.geometry.plain_background import plain_background_mask
from deep3dmap.methods.gan2shape.losses import discriminator_distance
from deep3dmap.methods.gan2shape.masks import face_mask, resize
from deep3dmap.methods.gan2shape.options import PLAIN
from deep3dmap.methods.gan2shape.steps import Perceptual
from deep3dmap.nn.bisenet import BiSeNet
from deep3dmap.nn.lpips import LPIPS, read_lpips
from deep3dmap.nn.official_checkpoints import fill
from deep3dmap.nn.stylegan2 import Discriminator
from deep3dmap.nn.weight_files import read_weights

PARSED = 512  # side of the pictures that the face parsing network was trained on


def load_lpips(named: str) -> LPIPS | None:
    """Return LPIPS from a file, None for no name. Raises UserError for a file that holds something else."""
    return read_lpips(Path(named)) if named else None


def load_parser(named: str) -> BiSeNet | None:
    """Return the face parsing network from a file, None for `plain`."""
    if named == PLAIN:
        return None
    return _loaded(BiSeNet(), _tensors(Path(named)), named)


def perceptual_distance(lpips: LPIPS | None, discriminator: Discriminator) -> Perceptual:
    """Return LPIPS, or else the distance in the discriminator's features."""
    if lpips is not None:
        return lpips
    return lambda shown, target: discriminator_distance(discriminator, shown, target)


def object_mask(parser: BiSeNet | None, picture: Tensor, category: str) -> Tensor:
    """Return the mask (1, 1, S, S) of the object in a picture (1, 3, S, S) in [-1, 1]."""
    if parser is None:
        return plain_background_mask(picture[0] / 2 + 0.5)[None, None]
    with torch.no_grad():
        labels = parser.labels(resize(picture, PARSED))
    return resize(face_mask(labels, "synface" if category == "synface" else "face"), picture.shape[-1])


def _tensors(path: Path) -> Mapping[str, Tensor]:
    content = read_weights(path)
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: it holds no named tensors")
    return content


def _loaded(network: Any, state: Mapping[str, Tensor], named: str) -> Any:
    fill(network, state, named)
    module: nn.Module = network
    return module.eval().requires_grad_(False)

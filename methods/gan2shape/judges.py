"""Frozen networks for pictures: the perceptual distance, and the mask of the object."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

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
from deep3dmap.nn.official_checkpoints import fill, is_state_dict
from deep3dmap.nn.pspnet import PSPNet
from deep3dmap.nn.stylegan2 import Discriminator
from deep3dmap.nn.weight_files import read_weights

Network = TypeVar("Network", bound=nn.Module)

PARSED, PARSED_SCENE = 512, 473  # sides of the pictures on which the parsing networks were trained
FACES = ("face", "synface")


class ParserLabels(NamedTuple):
    """classes: of the dataset. label: of the object. normalised: with ImageNet statistics; pictures of churches are not."""

    classes: int
    label: int
    normalised: bool

    def prepared(self, picture: Tensor) -> Tensor:
        """Return a picture in [-1, 1] preprocessed for the network as in the published code."""
        if not self.normalised:
            return picture
        mean, deviation = (picture.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_DEVIATION))
        return (picture / 2 + 0.5 - mean) / deviation


IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SCENES = {"cat": ParserLabels(21, 8, True), "car": ParserLabels(21, 7, True), "church": ParserLabels(150, 1, False)}


def load_lpips(named: str) -> LPIPS | None:
    """Return LPIPS from a file, None for an empty name. Raises UserError for a file with other contents."""
    return read_lpips(Path(named)) if named else None


def load_parser(named: str, category: str) -> BiSeNet | PSPNet | None:
    """Return the network that segments objects of a category, from a file; None for `plain`.

    Faces use the labels of face parts, the other categories those of scenes: VOC's for cats and cars, ADE20K's for churches.
    """
    if named == PLAIN:
        return None
    content = read_weights(Path(named))
    # Files of scene networks also contain training settings.
    state = content.get("state_dict", content) if isinstance(content, Mapping) else content
    if not is_state_dict(state):
        raise UserError(f"{named}: contains no named tensors")
    if category in FACES:
        return _loaded(BiSeNet(), state, named)
    kept = {name.removeprefix("module."): value for name, value in state.items()}
    # The auxiliary head is used only in training.
    kept = {name: value for name, value in kept.items() if not name.startswith("aux.")}
    return _loaded(PSPNet(SCENES[category].classes), kept, named)


def perceptual_distance(lpips: LPIPS | None, discriminator: Discriminator) -> Perceptual:
    """Return LPIPS, or else the distance between the discriminator's features."""
    if lpips is not None:
        return lpips
    return lambda shown, target: discriminator_distance(discriminator, shown, target)


def object_mask(parser: BiSeNet | PSPNet | None, picture: Tensor, category: str) -> Tensor:
    """Return the mask (1, 1, S, S) of the object in a picture (1, 3, S, S) in [-1, 1]."""
    if parser is None:
        return plain_background_mask(picture[0] / 2 + 0.5)[None, None]
    side = picture.shape[-1]
    with torch.no_grad():
        if isinstance(parser, BiSeNet):
            labels = parser.labels(resize(picture, PARSED))
            return resize(face_mask(labels, "synface" if category == "synface" else "face"), side)
        scene = SCENES[category]
        labels = parser.labels(scene.prepared(resize(picture, PARSED_SCENE)))
        return resize((labels == scene.label)[:, None].float(), side)


def _loaded(network: Network, state: Mapping[str, Tensor], named: str) -> Network:
    fill(network, state, named)
    network.eval().requires_grad_(False)
    return network

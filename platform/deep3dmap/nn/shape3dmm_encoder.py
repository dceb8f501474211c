"""The encoder of the older multi-view face method: a picture to coefficients of a morphable model and a weak perspective pose.

Layers, order and initialisation of achao2013/deep3dmap, models/backbones/{shape_encoder,vgg}.py, and its decoding of the
coefficients, core/all3dmm/bfm_tools.py. Kept for its checkpoints and as a baseline.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from deep3dmap.geometry.weak_perspective import project_weak_perspective, rotation_of_euler_xyz

IDENTITY, EXPRESSION, POSE = 199, 29, 7
INPUT = 224
LEGACY_IMAGE = 256  # the translation is in sides of this picture
LARGEST_COORDINATE = 125000.0
# Output channels of the convolutions; a number in this set is followed by pooling.
WIDTHS = (64, 128, 256, 256, 512, 512, 512)
POOLED = frozenset({0, 1, 3, 4, 6})


class Shape3dmmEncoder(nn.Module):
    """Seven convolutions of VGG, the mean over the picture, and one head for the shape, one for the pose."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for index, width in enumerate(WIDTHS):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            if index in POOLED:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
            before = width
        self.trunk = nn.Sequential(*layers)
        self.shape_head = nn.Sequential(nn.Linear(before, 512), nn.ReLU(), nn.Linear(512, IDENTITY + EXPRESSION))
        self.pose_head = nn.Sequential(nn.Linear(before, 256), nn.ReLU(), nn.Linear(256, POSE))
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.normal_(module.weight, 0, 0.02 if isinstance(module, nn.Conv2d) else 1e-4)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def features(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) pictures, resized to 224 by the nearest pixel, to (B, 512). Old checkpoints want BGR in [0, 1]."""
        return self.trunk(torch.nn.functional.interpolate(images, size=(INPUT, INPUT), mode="nearest")).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 235): 199 of identity, 29 of expression, then scale, three angles and a translation."""
        features = self.features(images)
        return torch.cat([self.shape_head(features), self.pose_head(features)], 1)


class LegacyShapeModel(NamedTuple):
    """The older method's morphable model of V vertices, in micrometres.

    mean: (3 V,). identity_basis: (3 V, 199) with sigma (199,). expression_basis: (3 V, 29) with sigma (29,), by which its
    coefficients are DIVIDED, and by 1000. The mean expression is not added.
    """

    mean: Tensor
    identity_basis: Tensor
    identity_sigma: Tensor
    expression_basis: Tensor
    expression_sigma: Tensor


class LegacyFace(NamedTuple):
    """vertices: (B, V, 3) model units. rotation: (B, 3, 3). projected: (B, V, 3) pixels of a picture of 256, z likewise."""

    vertices: Tensor
    rotation: Tensor
    projected: Tensor


def decode(parameters: Tensor, model: LegacyShapeModel) -> LegacyFace:
    """Turn (B, 235) outputs of the encoder into the surface and its projection s R v + 256 t; differentiable.

    Coordinates are clamped to 125 mm and angles to 3.1415, as in the older code. Raises ValueError for another width.
    """
    if parameters.dim() != 2 or parameters.shape[1] != IDENTITY + EXPRESSION + POSE:
        raise ValueError(f"parameters must be (B, {IDENTITY + EXPRESSION + POSE}), got {tuple(parameters.shape)}")
    identity, expression, pose = parameters.split([IDENTITY, EXPRESSION, POSE], 1)
    offsets = identity * model.identity_sigma @ model.identity_basis.T
    offsets = offsets + expression / (1000 * model.expression_sigma) @ model.expression_basis.T
    vertices = (model.mean + offsets).clamp(-LARGEST_COORDINATE, LARGEST_COORDINATE).unflatten(1, (-1, 3))
    rotation = rotation_of_euler_xyz(pose[:, 1:4].clamp(-3.1415, 3.1415))
    return LegacyFace(vertices, rotation, project_weak_perspective(vertices, pose[:, 0], rotation, pose[:, 4:] * LEGACY_IMAGE))


def from_legacy_encoder(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of an older checkpoint ("feat_net.layer1.conv2.weight", "fc_pose.fc3.bias") to ours.

    Raises ValueError for a name that the network does not have.
    """
    return {_our_name(name): value for name, value in state.items()}


def _our_name(name: str) -> str:
    heads = {"fc_3dmm.fc1": "shape_head.0", "fc_3dmm.fc2": "shape_head.2"}
    heads |= {"fc_pose.fc3": "pose_head.0", "fc_pose.fc4": "pose_head.2"}
    found = re.fullmatch(r"feat_net\.layer1\.(conv|bn)([1-7])\.(\w+)", name)
    if found:
        index = int(found[2]) - 1
        place = 3 * index + sum(pooled < index for pooled in POOLED) + (found[1] == "bn")
        return f"trunk.{place}.{found[3]}"
    layer, _, kind = name.rpartition(".")
    if layer not in heads:
        raise ValueError(f"'{name}' is no tensor of the older encoder")
    return f"{heads[layer]}.{kind}"

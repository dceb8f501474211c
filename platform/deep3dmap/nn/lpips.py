"""LPIPS, a perceptual image distance on VGG-16 features (Zhang et al., CVPR 2018), version 0.1."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from deep3dmap.core.errors import UserError
from deep3dmap.nn.weight_files import read_weights

# Channels of VGG-16's convolutions in its five stages, with pooling in between; features are compared at the end of each.
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # ImageNet statistics for images in [-1, 1]


class LPIPS(nn.Module):
    """LPIPS distance between images in [-1, 1], with frozen weights.

    features: layers numbered as in torchvision's VGG-16. heads: channel weights at the end of every stage.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self._ends = []
        before = 3
        for stage in STAGES:
            layers += [nn.MaxPool2d(2)] if layers else []
            for channels in stage:
                layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
                before = channels
            self._ends.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)
        self.heads = nn.ParameterList(nn.Parameter(torch.ones(stage[-1])) for stage in STAGES)
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None], persistent=False)
        self.requires_grad_(False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the distances (N,) between images (N, 3, H, W) of at least 16 x 16 pixels."""
        both = self._normalised(torch.cat([first, second]))
        total = first.new_zeros(len(first))
        stage = 0
        for index, layer in enumerate(self.features):
            both = layer(both)
            if index == self._ends[stage]:
                one, other = _unit(both).chunk(2)
                total = total + torch.einsum("nchw,c->nhw", (one - other).square(), self.heads[stage]).mean((1, 2))
                stage += 1
        return total

    def features_at(self, pictures: Tensor, stage: int) -> Tensor:
        """Return VGG-16's features (N, C, H / 2**stage, W / 2**stage) of images (N, 3, H, W) at the end of a stage, 0 to 4."""
        features: Tensor = self.features[: self._ends[stage] + 1](self._normalised(pictures))
        return features

    def _normalised(self, pictures: Tensor) -> Tensor:
        return (pictures - self.shift) / self.scale


def _unit(features: Tensor) -> Tensor:
    # The small constant under the root keeps the gradient finite where all channels are 0, as in masked images.
    return features / ((features.square().sum(1, keepdim=True) + 1e-20).sqrt() + 1e-10)


def read_lpips(file: Path) -> LPIPS:
    """Load the network from a file with VGG-16 and head weights, named as `from_official_lpips` expects.

    Raises UserError naming the file if it contains something else or only some of the weights.
    """
    network, content = LPIPS(), read_weights(file)
    try:
        network.load_state_dict(from_official_lpips(content))
    except (RuntimeError, AttributeError, UserError) as error:
        why = " ".join(str(error).split())[:160]
        raise UserError(f"{file}: not VGG-16 with LPIPS' heads, version 0.1 ({why})") from error
    return network


def from_official_lpips(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of an official checkpoint ("net.slice2.5.weight", "lin0.model.1.weight") to our names.

    The heads ("lin0.model.1.weight" and so on) combined with torchvision's VGG-16 ("features.5.weight") are also accepted.
    Raises UserError for a name that the network does not have.
    """
    renamed = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "scaling_layer" or parts[0] == "classifier":
            continue
        if parts[0] == "net" and len(parts) == 4:
            renamed[f"features.{parts[2]}.{parts[3]}"] = value
        elif parts[0] == "features":
            renamed[name] = value
        elif parts[0].startswith("lin") and parts[-1] == "weight":
            # Version 0.1.4 of the package contains the heads twice, as "lin0" and in the list "lins".
            index = parts[1] if parts[0] == "lins" else parts[0].removeprefix("lin")
            renamed[f"heads.{index}"] = value.flatten()
        else:
            raise UserError(f"'{name}' is not a tensor of LPIPS with VGG-16")
    return renamed

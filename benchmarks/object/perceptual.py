"""LPIPS, if its weights are available; without them its column is absent and never replaced by another metric."""

from pathlib import Path

import torch
from torch import Tensor

from deep3dmap.core.asset import Asset, asset_in_folder
from deep3dmap.metrics.image_similarity import Perceptual
from deep3dmap.nn.lpips import read_lpips

LPIPS_VGG = Asset(
    name="lpips_vgg",
    option="lpips_vgg.pth",
    licence="BSD-2-Clause (heads); depends on the file (VGG-16)",
    meaning="VGG-16 with LPIPS' heads, version 0.1, for the column lpips_vgg",
    origin="Zhang et al. (github.com/richzhang/PerceptualSimilarity); torch.save of LPIPS(net='vgg').state_dict()",
)


def perceptual_distances() -> dict[str, Perceptual]:
    """Return the distances whose weights are in $DEEP3DMAP_ASSETS; raises UserError for a file with other contents."""
    file = asset_in_folder(LPIPS_VGG)
    return {} if file is None else {LPIPS_VGG.name: _lpips(file)}


def _lpips(file: Path) -> Perceptual:
    network = read_lpips(file)

    def distance(first: Tensor, second: Tensor) -> Tensor:
        with torch.no_grad():
            return network(first[None], second[None])[0]

    return distance

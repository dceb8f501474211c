"""Image features for comparing image sets: Inception's, loaded from a file, or embedded ones that need no weights."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

from deep3dmap.core.errors import UserError

Features = NDArray[np.float64]
INCEPTION_FILE = "inception-2015-12-05.pt"

_LUMA = (0.299, 0.587, 0.114)
_ORIENTATIONS = 6
_CELLS = 4
_SCALES = 2


class EmbeddedFeatures:
    """Spatial colour and edge features, 288 numbers of about unit size; needs no weights.

    Luma averaged to 8 x 8 and two colour differences to 4 x 4; then, at full and half resolution, the square root of the edge
    energy in six orientations and 4 x 4 cells, as in histograms of oriented gradients (Dalal and Triggs, CVPR 2005). Distances
    can rank generators of clearly different quality, but are not comparable with published ones, which use Inception features.
    """

    name = "embedded"

    def __call__(self, pictures: Tensor) -> Features:
        """Return features (N, 288) of images (N, 3, H, W) in [0, 1]; raises UserError for images below 16 x 16 pixels."""
        if pictures.shape[-1] < 16 or pictures.shape[-2] < 16:
            raise UserError(f"features need images of at least 16 x 16 pixels, got {tuple(pictures.shape)}")
        signal = pictures.float() * 2 - 1
        luma = (signal * signal.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
        differences = torch.cat([signal[:, :1] - luma, signal[:, 2:] - luma], 1)
        parts = [adaptive_avg_pool2d(luma, 8), 2 * adaptive_avg_pool2d(differences, 4)]
        for scale in range(_SCALES):
            parts.append(_edges(avg_pool2d(luma, 2**scale) if scale else luma))
        return torch.cat([part.flatten(1) for part in parts], 1).double().cpu().numpy()


def _edges(luma: Tensor) -> Tensor:
    """Return (N, 6, 4, 4): the square root of the mean edge energy, distributed over the two nearest orientations."""
    across = (luma[:, 0, 1:-1, 2:] - luma[:, 0, 1:-1, :-2]) / 2
    down = (luma[:, 0, 2:, 1:-1] - luma[:, 0, :-2, 1:-1]) / 2
    place = torch.atan2(down, across).remainder(torch.pi) * (_ORIENTATIONS / torch.pi)
    bins = torch.arange(_ORIENTATIONS, device=luma.device)[:, None, None]
    apart = (place[:, None] - bins).abs()
    share = (1 - torch.minimum(apart, _ORIENTATIONS - apart)).clamp(min=0)
    energy = share * (across.square() + down.square())[:, None]
    # The gradient of the square root is infinite at 0, but is not needed here.
    return 4 * adaptive_avg_pool2d(energy, _CELLS).sqrt()


class InceptionFeatures:
    """The 2048 features before the last layer of Inception-v3, with which published distances are computed.

    path: the TorchScript file `inception-2015-12-05.pt` published by NVlabs with StyleGAN2-ADA, which resizes its input.
    Raises UserError if the file is not TorchScript.
    """

    name = "inception"

    def __init__(self, path: Path) -> None:
        try:
            self._network: Any = torch.jit.load(str(path), map_location="cpu").eval()
        except (RuntimeError, ValueError, OSError) as error:
            raise UserError(f"{path}: not a TorchScript file ({str(error).splitlines()[0]})") from error

    def __call__(self, pictures: Tensor) -> Features:
        """Return features (N, 2048) of images (N, 3, H, W) in [0, 1]."""
        network = self._network.to(pictures.device)
        levels = (pictures * 255).round().clamp(0, 255).to(torch.uint8)
        with torch.no_grad():
            return network(levels, return_features=True).double().cpu().numpy()

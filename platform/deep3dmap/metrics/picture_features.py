"""Features of pictures in which sets of them are compared: Inception's, from a file, or embedded ones that need no weights."""

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
    """Where pictures have which colours and edges, as 288 numbers of about unit size; needs no weights.

    Luma averaged to 8 x 8 and two colour differences to 4 x 4; then, at full and at half the resolution, the energy of edges of
    six orientations in 4 x 4 cells, as histograms of oriented gradients have it (Dalal and Triggs, CVPR 2005), under a root.
    Distances in them order generators that differ much; they are not Inception's and must not be compared with published ones.
    """

    name = "embedded"

    def __call__(self, pictures: Tensor) -> Features:
        """Return (N, 288) of pictures (N, 3, H, W) in [0, 1], of at least 16 x 16 pixels."""
        if pictures.shape[-1] < 16 or pictures.shape[-2] < 16:
            raise UserError(f"features need pictures of at least 16 x 16 pixels, got {tuple(pictures.shape)}")
        signal = pictures.float() * 2 - 1
        luma = (signal * signal.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
        differences = torch.cat([signal[:, :1] - luma, signal[:, 2:] - luma], 1)
        parts = [adaptive_avg_pool2d(luma, 8), 2 * adaptive_avg_pool2d(differences, 4)]
        for scale in range(_SCALES):
            parts.append(_edges(avg_pool2d(luma, 2**scale) if scale else luma))
        return torch.cat([part.flatten(1) for part in parts], 1).double().cpu().numpy()


def _edges(luma: Tensor) -> Tensor:
    """Return (N, 6, 4, 4): the root of the mean energy of edges, shared between the two nearest orientations."""
    across = (luma[:, 0, 1:-1, 2:] - luma[:, 0, 1:-1, :-2]) / 2
    down = (luma[:, 0, 2:, 1:-1] - luma[:, 0, :-2, 1:-1]) / 2
    place = torch.atan2(down, across).remainder(torch.pi) * (_ORIENTATIONS / torch.pi)
    bins = torch.arange(_ORIENTATIONS, device=luma.device)[:, None, None]
    apart = (place[:, None] - bins).abs()
    share = (1 - torch.minimum(apart, _ORIENTATIONS - apart)).clamp(min=0)
    energy = share * (across.square() + down.square())[:, None]
    # The gradient of a root is infinite at 0, and nobody asks for it here.
    return 4 * adaptive_avg_pool2d(energy, _CELLS).sqrt()


class InceptionFeatures:
    """The 2048 numbers before the last layer of Inception-v3, as the published distances are computed with.

    path: the TorchScript file `inception-2015-12-05.pt` that NVlabs publishes with StyleGAN2-ADA; it resizes by itself.
    Raises UserError for a file that is none.
    """

    name = "inception"

    def __init__(self, path: Path) -> None:
        try:
            self._network: Any = torch.jit.load(str(path), map_location="cpu").eval()
        except (RuntimeError, ValueError, OSError) as error:
            raise UserError(f"{path}: not a TorchScript file ({str(error).splitlines()[0]})") from error

    def __call__(self, pictures: Tensor) -> Features:
        """Return (N, 2048) of pictures (N, 3, H, W) in [0, 1]."""
        network = self._network.to(pictures.device)
        levels = (pictures * 255).round().clamp(0, 255).to(torch.uint8)
        with torch.no_grad():
            return network(levels, return_features=True).double().cpu().numpy()

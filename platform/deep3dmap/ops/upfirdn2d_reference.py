"""Upsampling, filtering and downsampling in plain torch, step by step: the reference for the native kernel."""

import torch
from torch import Tensor
from torch.nn import functional


def upfirdn2d(images: Tensor, kernel: Tensor, up: tuple[int, int], down: tuple[int, int], padding: tuple[int, ...]) -> Tensor:
    """See `deep3dmap.ops.upfirdn2d`; the inserted zeros are stored explicitly."""
    count, channels, height, width = images.shape
    planes = images.reshape(count * channels, 1, height, 1, width, 1)
    stuffed = functional.pad(planes, (0, up[0] - 1, 0, 0, 0, up[1] - 1))
    padded = functional.pad(stuffed.reshape(count * channels, 1, height * up[1], width * up[0]), padding)
    filtered = functional.conv2d(padded, torch.flip(kernel, (0, 1))[None, None])
    kept = filtered[:, :, :: down[1], :: down[0]]
    return kept.reshape(count, channels, *kept.shape[2:])

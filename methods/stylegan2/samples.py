"""Samples by index: the same seed and index give the same picture, regardless of the batches in which they are requested."""

from typing import Any

import torch
from torch import Tensor

from deep3dmap.core.errors import UserError, unknown
from deep3dmap.frameworks import sample_generator
from deep3dmap.nn.stylegan2 import Generator, mean_latent, truncate

MEAN_SAMPLES = 4096  # latents averaged for truncation
_MEAN_SEED = 0
NOISE_SEED = 0x5EED
CONTROLS = ("truncation", "between", "noise")


def generate_samples(network: Generator, indices: range, seed: int, controls: dict[str, Any]) -> Tensor:
    """Return (len(indices), 3, S, S) in [0, 1].

    Controls: truncation, 1 = none, 0 = the mean picture. between: every `between`-th sample is random, and those in between
    interpolate linearly in W to the next one. noise: random, or stored, which is the same for all samples and the default if
    `between` > 1. Raises UserError for unknown controls and invalid values.
    """
    strength, between, noise = _check_controls(controls)
    device = next(network.parameters()).device
    rows = []
    for index in indices:
        anchor, step = divmod(index, between)
        latent = network.mapping(_noise(network, seed, anchor).to(device))
        if step:
            latent = torch.lerp(latent, network.mapping(_noise(network, seed, anchor + 1).to(device)), step / between)
        rows.append(latent)
    w = torch.cat(rows) if rows else torch.zeros(0, network.size.style_dim, device=device)
    if strength != 1:
        middle = mean_latent(network.mapping, MEAN_SAMPLES, torch.Generator(device).manual_seed(_MEAN_SEED))
        w = truncate(w, middle, strength)
    maps = None if noise == "stored" else _noise_maps(network, indices, seed)
    return (network.synthesis(w, maps) / 2 + 0.5).clamp(0, 1)


def _check_controls(controls: dict[str, Any]) -> tuple[float, int, str]:
    for name in controls:
        if name not in CONTROLS:
            raise unknown("control of stylegan2", name, CONTROLS)
    between = controls.get("between", 1)
    if not isinstance(between, int) or between < 1:
        raise UserError(f"between must be an integer of at least 1, got {between!r}")
    strength = controls.get("truncation", 1.0)
    if not isinstance(strength, int | float):
        raise UserError(f"truncation must be a number, got {strength!r}")
    noise = controls.get("noise", "random" if between == 1 else "stored")
    if noise not in ("random", "stored"):
        raise UserError(f"noise must be random or stored, got {noise!r}")
    return float(strength), between, noise


def _noise(network: Generator, seed: int, index: int) -> Tensor:
    return torch.randn(1, network.size.style_dim, generator=sample_generator(seed, index))


def _noise_maps(network: Generator, indices: range, seed: int) -> list[Tensor]:
    buffers = network.synthesis.stored_noise()
    # Separate seeds, so that the noise is independent of z.
    generators = [sample_generator(seed ^ NOISE_SEED, index) for index in indices]
    return [
        torch.cat([torch.randn(1, *buffer.shape[1:], generator=generator) for generator in generators]).to(buffer.device)
        for buffer in buffers
    ]

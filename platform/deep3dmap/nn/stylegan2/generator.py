"""StyleGAN2's generator: a mapping network from z to w, and a synthesis network modulated by w (Karras et al., CVPR 2020)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deep3dmap.core.errors import UserError
from deep3dmap.nn.stylegan2.equalized import EqualizedLinear
from deep3dmap.nn.stylegan2.modulated import StyledLayer, ToRGB
from deep3dmap.nn.stylegan2.sizes import StyleGAN2Size

MAPPING_RATE = 0.01


def normalize_latent(values: Tensor) -> Tensor:
    """Normalise each row of (N, D) to a mean square of 1."""
    return values * torch.rsqrt(values.square().mean(1, keepdim=True) + 1e-8)


class MappingNetwork(nn.Module):
    """Maps z (N, D), normalised, to w (N, D) through linear layers with leaky ReLUs."""

    def __init__(self, style_dim: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EqualizedLinear(style_dim, style_dim, rate=MAPPING_RATE, activate=True) for _ in range(layers)
        )

    def forward(self, z: Tensor) -> Tensor:
        """Return w (N, D)."""
        values = normalize_latent(z)
        for layer in self.layers:
            values = layer(values)
        return values


class SynthesisNetwork(nn.Module):
    """Maps w, (N, D) shared by all layers or (N, latents, D), to images (N, 3, H, W) roughly in [-1, 1], not clamped."""

    def __init__(self, size: StyleGAN2Size) -> None:
        super().__init__()
        self.size = size
        first = size.channels(4)
        self.constant = nn.Parameter(torch.randn(1, first, 4, 4))
        layers = [StyledLayer(first, first, size.style_dim, 4)]
        for below, side in zip(size.resolutions, size.resolutions[1:]):
            inputs, outputs = size.channels(below), size.channels(side)
            layers.append(StyledLayer(inputs, outputs, size.style_dim, side, "double"))
            layers.append(StyledLayer(outputs, outputs, size.style_dim, side))
        self.layers = nn.ModuleList(layers)
        self.to_rgb = nn.ModuleList(ToRGB(size.channels(side), size.style_dim) for side in size.resolutions)

    def forward(self, w: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Return the images. noise: one map (1 or N, 1, side, side) per layer; None uses the stored ones.

        Raises UserError for a w of the wrong shape, and ValueError for the wrong number of noise maps.
        """
        latents = self._per_layer(w)
        maps = self.stored_noise() if noise is None else noise
        if len(maps) != len(self.layers):
            raise ValueError(f"noise must be one map for each of {len(self.layers)} layers, got {len(maps)}")
        features = self.constant.expand(len(w), -1, -1, -1)
        image: Tensor | None = None
        for block, to_rgb in enumerate(self.to_rgb):
            for index in range(max(2 * block - 1, 0), 2 * block + 1):
                features = self.layers[index](features, latents[:, index], maps[index])
            # Each ToRGB layer shares its w with the first layer of the next resolution.
            image = to_rgb(features, latents[:, 2 * block + 1], image)
        assert image is not None
        return image

    def stored_noise(self) -> list[Tensor]:
        """Return the stored noise maps, one per layer."""
        return [layer.noise for layer in self.layers]  # type: ignore[misc]

    def draw_noise(self, count: int, generator: torch.Generator | None = None) -> list[Tensor]:
        """Draw new noise maps (count, 1, side, side) for each layer."""
        return [
            torch.randn(count, *buffer.shape[1:], generator=generator, device=buffer.device) for buffer in self.stored_noise()
        ]

    def _per_layer(self, w: Tensor) -> Tensor:
        length, latents = self.size.style_dim, self.size.latents
        if w.shape[-1] != length or w.dim() not in (2, 3) or (w.dim() == 3 and w.shape[1] != latents):
            raise UserError(f"this generator takes latents (N, {length}) or (N, {latents}, {length}), got {tuple(w.shape)}")
        return w[:, None].expand(-1, latents, -1) if w.dim() == 2 else w


class Generator(nn.Module):
    """Mapping and synthesis: z (N, D) to images (N, 3, H, W)."""

    def __init__(self, size: StyleGAN2Size) -> None:
        super().__init__()
        self.size = size
        self.mapping = MappingNetwork(size.style_dim, size.mapping_layers)
        self.synthesis = SynthesisNetwork(size)

    def forward(self, z: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Return the images generated from z; noise as in `SynthesisNetwork.forward`."""
        return self.synthesis(self.mapping(z), noise)

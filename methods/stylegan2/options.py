"""The options of StyleGAN2: sizes, penalties and augmentation."""

from dataclasses import dataclass

from deep3dmap.core.options import option
from deep3dmap.nn.stylegan2 import StyleGAN2Size


@dataclass
class StyleGAN2Config:
    """Sizes and schedule; the defaults are config-e of Karras et al. (CVPR 2020) at 64 pixels."""

    resolution: int = option(64, "side of the pictures in pixels, a power of two", low=8, high=1024, valid="[1, inf)")
    style_dim: int = option(512, "length of z and w", low=16, high=1024, valid="[1, inf)")
    mapping_layers: int = option(8, "linear layers from z to w", low=1, high=16, valid="[1, inf)")
    channel_base: int = option(
        16384, "a layer of resolution r has min(channel_max, channel_base / r) channels", low=256, high=65536, valid="[1, inf)"
    )
    channel_max: int = option(512, "maximum channels of a layer", low=8, high=1024, valid="[1, inf)")
    mixing: float = option(0.9, "probability of style mixing", low=0.0, high=1.0, valid="[0, 1]")
    r1: float = option(10.0, "gamma of the gradient penalty on real pictures", low=0.1, high=100.0, log=True, valid="[0, inf)")
    r1_every: int = option(16, "steps between gradient penalties", low=1, high=64, valid="[1, inf)")
    path_length: float = option(2.0, "weight of the path length penalty (0 = none)", low=0.0, high=10.0, valid="[0, inf)")
    path_every: int = option(4, "steps between path length penalties", low=1, high=64, valid="[1, inf)")
    half_life: float = option(
        10.0, "half-life of the generator's moving average, in thousands of pictures", low=0.1, valid="(0, inf)"
    )
    average_ramp: float = option(
        0.05, "maximum half-life as a fraction of the updates so far (0 = no limit)", low=0.0, high=1.0, valid="[0, inf)"
    )
    mirror: bool = option(True, "randomly mirror the training pictures")
    augment: bool = option(False, "adaptive discriminator augmentation (ADA)")
    augment_target: float = option(0.6, "ADA: target mean sign of the real pictures' logits", low=0.1, high=0.9, valid="(0, 1)")
    augment_ramp: int = option(500_000, "ADA: pictures for a probability change from 0 to 1", low=1000, valid="[1, inf)")
    sheet: int = option(16, "samples in a reconstruction", low=1, high=256, valid="[1, inf)")
    weights: str = option("", "a generator with rosinality's or NVlabs' parameter names; disables training")

    def size(self) -> StyleGAN2Size:
        """Return the size of the networks; raises UserError if it is invalid."""
        return StyleGAN2Size(self.resolution, self.style_dim, self.mapping_layers, self.channel_base, self.channel_max)

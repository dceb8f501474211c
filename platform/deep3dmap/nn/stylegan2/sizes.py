"""The size of a StyleGAN2: its image resolution and the channels at every resolution."""

from dataclasses import dataclass

from deep3dmap.core.errors import UserError


@dataclass(frozen=True)
class StyleGAN2Size:
    """The parameters that determine the shapes of generator and discriminator.

    resolution: side of the images, a power of two from 8 to 1024. style_dim: length of z and w. mapping_layers: linear layers
    from z to w. channel_base, channel_max: resolution r has min(channel_max, channel_base / r) channels; 16384 and 512 are
    config-e of Karras et al. (CVPR 2020), 32768 and 512 config-f. Raises UserError for invalid values.
    """

    resolution: int = 64
    style_dim: int = 512
    mapping_layers: int = 8
    channel_base: int = 16384
    channel_max: int = 512

    def __post_init__(self) -> None:
        if self.resolution not in [2**power for power in range(3, 11)]:
            raise UserError(f"stylegan2: resolution must be a power of two from 8 to 1024, got {self.resolution}")
        for name in ("style_dim", "mapping_layers", "channel_max"):
            if getattr(self, name) < 1:
                raise UserError(f"stylegan2: {name} must be at least 1, got {getattr(self, name)}")
        if self.channel_base < self.resolution:
            raise UserError(f"stylegan2: channel_base {self.channel_base} leaves no channels at {self.resolution} pixels")

    def channels(self, resolution: int) -> int:
        """Return the number of feature channels at a resolution."""
        return min(self.channel_max, self.channel_base // resolution)

    @property
    def resolutions(self) -> list[int]:
        """The resolutions of the network, starting at 4."""
        return [2**power for power in range(2, self.resolution.bit_length())]

    @property
    def latents(self) -> int:
        """Number of w inputs of a synthesis network: 2 log2(resolution) - 2."""
        return 2 * len(self.resolutions)

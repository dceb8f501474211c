"""ResFCN256: the fully convolutional network of PRNet, which maps an image to a position map of the same size.

Equivalent to YadiraF/PRNet, predictor.py (class resfcn256), including TensorFlow's padding and batch norm, so that official
weights can be loaded (`resfcn_names`). Feng et al., "Joint 3D Face Reconstruction and Dense Alignment with Position Map
Regression Network", ECCV 2018.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from deep3dmap.nn.same_padding import SameConv2d, SameConvTranspose2d

# Width in multiples of the first layer's, and stride, of each layer in order.
ENCODER = ((2, 2), (2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), (16, 1), (32, 2), (32, 1))
DECODER = (
    *((32, 1), (16, 2), (16, 1), (16, 1), (8, 2), (8, 1), (8, 1), (4, 2), (4, 1), (4, 1), (2, 2), (2, 1), (1, 2), (1, 1)),
    *((0, 1), (0, 1), (0, 1)),
)
_LAST_DOUBLINGS, _LAST = [at for at, (_, stride) in enumerate(DECODER) if stride == 2][-2:], len(DECODER) - 1


class ResidualBlock(nn.Module):
    """Residual block of 1x1, 4x4 and 1x1 convolutions; batch norm and ReLU follow the sum."""

    def __init__(self, inputs: int, outputs: int, stride: int, epsilon: float, momentum: float) -> None:
        super().__init__()
        middle = outputs // 2
        self.shortcut = None if stride == 1 and inputs == outputs else SameConv2d(inputs, outputs, 1, stride)
        self.reduce = SameConv2d(inputs, middle, 1)
        self.reduce_norm = nn.BatchNorm2d(middle, epsilon, momentum)
        self.spatial = SameConv2d(middle, middle, 4, stride)
        self.spatial_norm = nn.BatchNorm2d(middle, epsilon, momentum)
        self.expand = SameConv2d(middle, outputs, 1)
        self.norm = nn.BatchNorm2d(outputs, epsilon, momentum)

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, ceil(H / stride), ceil(W / stride)), non-negative."""
        shortcut = features if self.shortcut is None else self.shortcut(features)
        features = self.reduce_norm(self.reduce(features)).relu()
        features = self.spatial_norm(self.spatial(features)).relu()
        return self.norm(self.expand(features) + shortcut).relu()


class Upsampling(nn.Module):
    """A transposed convolution and its normalisation; the caller applies the activation."""

    def __init__(self, inputs: int, outputs: int, stride: int, padding: str, norm: nn.Module) -> None:
        super().__init__()
        self.conv = SameConvTranspose2d(inputs, outputs, stride, padding)
        self.norm = norm

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H * stride, W * stride)."""
        return self.norm(self.conv(features))


class ResFCN256(nn.Module):
    """One convolution, 10 residual blocks and 17 transposed convolutions; input sides must be multiples of 32.

    width: channels of the first layer (16 in the paper; the others scale with it). padding: "tf" is the official network,
    "legacy" the older deep3dmap port (different transposed padding, no batch norm before the sigmoid, epsilon 1e-5).
    momentum: weight of a new batch in the running statistics (0.001 in the paper). epsilon: of the batch norms; None selects
    the default of the padding. outputs: channels of the map. constants: side of the images for which the decoder learns
    constant maps, or 0 for none, as in the paper. They are added to the outputs of the last two upsampling layers and to the
    map before the sigmoid, so that the convolutions only have to model what varies between maps.
    Raises ValueError for an invalid width or padding.
    """

    def __init__(
        self,
        width: int = 16,
        padding: str = "tf",
        momentum: float = 0.001,
        epsilon: float | None = None,
        outputs: int = 3,
        constants: int = 0,
    ) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise ValueError(f"width must be an even number of channels, got {width}")
        if epsilon is None:
            epsilon = 1e-3 if padding == "tf" else 1e-5
        self.stem = SameConv2d(3, width, 4)
        self.stem_norm = nn.BatchNorm2d(width, epsilon, momentum)
        widths = [width, *(width * times for times, _ in ENCODER)]
        strides = [stride for _, stride in ENCODER]
        self.encoder = nn.ModuleList(
            ResidualBlock(*channels, stride, epsilon, momentum) for channels, stride in zip(pairwise(widths), strides)
        )
        widths = [widths[-1], *(width * times or outputs for times, _ in DECODER)]
        self.decoder = nn.ModuleList(
            Upsampling(*channels, stride, padding, nn.BatchNorm2d(channels[1], epsilon, momentum))
            for channels, (_, stride) in zip(pairwise(widths), DECODER)
        )
        if padding == "legacy":
            self.decoder[-1].norm = nn.Identity()
        sides = zip((*_LAST_DOUBLINGS, _LAST), (constants // 2, constants, constants)) if constants else ()
        self.constants = nn.ParameterDict(
            {str(at): nn.Parameter(torch.zeros(widths[at + 1], side, side)) for at, side in sides}
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map RGB (B, 3, H, W) to (B, outputs, H, W), both in [0, 1]. Raises ValueError unless sides are multiples of 32."""
        return self.logits(images).sigmoid()

    def logits(self, images: Tensor) -> Tensor:
        """Return the map (B, outputs, H, W) before the sigmoid."""
        if images.dim() != 4 or images.shape[-1] % 32 or images.shape[-2] % 32:
            raise ValueError(f"images must be (B, 3, H, W) with sides that are multiples of 32, got {tuple(images.shape)}")
        features = self.stem_norm(self.stem(images)).relu()
        for block in self.encoder:
            features = block(features)
        for at, layer in enumerate(self.decoder[:-1]):
            features = self._add_constants(layer(features), at).relu()
        return self._add_constants(self.decoder[-1](features), _LAST)

    def _add_constants(self, features: Tensor, at: int) -> Tensor:
        name = str(at)
        return features + self.constants[name] if name in self.constants else features

    def initialise_smooth_decoder(self, noise: float = 0.1, inner: float = 0.3) -> None:
        """Initialise the weights so that the decoder is close to a linear, smooth interpolation of the code.

        Layers that preserve the number of channels start as the identity plus `noise`; the others mix channels randomly, with
        bilinear kernels if they upsample. The biases of the decoder's batch norms start at 1, so that few ReLUs are inactive,
        and the main paths of the residual blocks are scaled by `inner`. The network's capacity is unchanged, but short
        trainings get much further than from TensorFlow's default initialisation, which `__init__` uses.
        """
        layer: Any
        for layer in self.decoder:
            _initialise_smooth(layer.conv, noise)
            if isinstance(layer.norm, nn.BatchNorm2d):
                nn.init.ones_(layer.norm.bias)
        layer = self.decoder[-1]
        if isinstance(layer.norm, nn.BatchNorm2d):
            nn.init.zeros_(layer.norm.bias)
        block: Any
        with torch.no_grad():
            for block in self.encoder:
                block.expand.weight.mul_(inner)

    def convolution_weights(self) -> list[Tensor]:
        """Return the convolution weights, which the official training penalises (2e-4 * sum(w^2) / 2)."""
        return [parameter for parameter in self.parameters() if parameter.dim() == 4]  # constant maps have three


def _initialise_smooth(layer: SameConvTranspose2d, noise: float) -> None:
    inputs, outputs = layer.weight.shape[:2]
    if layer.stride == 1 and inputs == outputs:
        # With padding 1 the second tap is the centre pixel.
        mix, kernel = torch.eye(inputs) + noise * torch.randn(inputs, outputs) / inputs**0.5, torch.tensor([0.0, 1, 0, 0])
    else:
        mix = torch.randn(inputs, outputs) * (2 / inputs) ** 0.5
        kernel = torch.tensor([1.0, 3, 3, 1] if layer.stride == 2 else [1.0, 2, 1, 0]) / 4
    with torch.no_grad():
        layer.weight.mul_(0.1 * noise).add_(mix[:, :, None, None] * torch.outer(kernel, kernel))

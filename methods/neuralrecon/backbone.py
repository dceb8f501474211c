"""The image network: the first layers of MNASNet-B1 (Tan et al., CVPR 2019) with a feature pyramid (Lin et al., CVPR 2017)."""

from torch import Tensor, nn
from torch.nn import functional

DIVISOR = 8


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution and 1x1 projection, with a residual connection where shape and stride allow it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int, momentum: float) -> None:
        super().__init__()
        middle = inputs * expansion
        self.adds = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, middle, 1, bias=False),
            nn.BatchNorm2d(middle, momentum=momentum),
            nn.ReLU(),
            nn.Conv2d(middle, middle, kernel, stride, kernel // 2, groups=middle, bias=False),
            nn.BatchNorm2d(middle, momentum=momentum),
            nn.ReLU(),
            nn.Conv2d(middle, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs, momentum=momentum),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        return x + self.layers(x) if self.adds else self.layers(x)


class MnasMulti(nn.Module):
    """Features at 1/4, 1/8 and 1/16 of the image. alpha: width factor (paper: 1). momentum: of every batch norm.

    The paper starts from ImageNet weights and therefore uses a batch norm momentum of 3e-4. When training from scratch, the
    running statistics would still be close to their initial values at the end of a short training.
    """

    def __init__(self, alpha: float = 1.0, momentum: float = 3e-4) -> None:
        super().__init__()
        stem, first, quarter, eighth, sixteenth = (rounded_width(width * alpha) for width in (32, 16, 24, 40, 80))
        self.conv0 = nn.Sequential(
            nn.Conv2d(3, stem, 3, 2, 1, bias=False),
            nn.BatchNorm2d(stem, momentum=momentum),
            nn.ReLU(),
            nn.Conv2d(stem, stem, 3, 1, 1, groups=stem, bias=False),
            nn.BatchNorm2d(stem, momentum=momentum),
            nn.ReLU(),
            nn.Conv2d(stem, first, 1, bias=False),
            nn.BatchNorm2d(first, momentum=momentum),
            _stage(first, quarter, kernel=3, expansion=3, momentum=momentum),
        )
        self.conv1 = _stage(quarter, eighth, kernel=5, expansion=3, momentum=momentum)
        self.conv2 = _stage(eighth, sixteenth, kernel=5, expansion=6, momentum=momentum)
        self.out1 = nn.Conv2d(sixteenth, sixteenth, 1, bias=False)
        self.inner1 = nn.Conv2d(eighth, sixteenth, 1)
        self.inner2 = nn.Conv2d(quarter, sixteenth, 1)
        self.out2 = nn.Conv2d(sixteenth, eighth, 3, padding=1, bias=False)
        self.out3 = nn.Conv2d(sixteenth, quarter, 3, padding=1, bias=False)
        self.out_channels = (quarter, eighth, sixteenth)
        _initialise(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features at 1/4, 1/8 and 1/16 of a normalised image (B, 3, H, W).

        Raises ValueError unless H and W are multiples of 16.
        """
        if x.shape[-1] % 16 or x.shape[-2] % 16:
            raise ValueError(f"image height and width must be multiples of 16, got {tuple(x.shape[-2:])}")
        quarter = self.conv0(x)
        eighth = self.conv1(quarter)
        sixteenth = self.conv2(eighth)
        middle = functional.interpolate(sixteenth, scale_factor=2) + self.inner1(eighth)
        fine = functional.interpolate(middle, scale_factor=2) + self.inner2(quarter)
        return self.out3(fine), self.out2(middle), self.out1(sixteenth)


def rounded_width(width: float) -> int:
    """Round a width as MNASNet does: to the nearest multiple of 8, at least 8, and at most 10 % below the given width."""
    nearest = max(DIVISOR, int(width + DIVISOR / 2) // DIVISOR * DIVISOR)
    return nearest if nearest >= 0.9 * width else nearest + DIVISOR


def _stage(inputs: int, outputs: int, kernel: int, expansion: int, momentum: float) -> nn.Sequential:
    first = InvertedResidual(inputs, outputs, kernel, 2, expansion, momentum)
    return nn.Sequential(first, *(InvertedResidual(outputs, outputs, kernel, 1, expansion, momentum) for _ in range(2)))


def _initialise(network: nn.Module) -> None:
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)

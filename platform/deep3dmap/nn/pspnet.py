"""PSPNet on ResNet-50 (Zhao et al., CVPR 2017) for scene segmentation with the published weights.

Layers are named as in those weights. The stem has three convolutions instead of ResNet's 7 x 7 convolution, and the last two
stages are dilated instead of strided, so that features stay at an eighth of the image resolution.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

BINS = (1, 2, 3, 6)
FEATURES = 2048


class Bottleneck(nn.Module):
    """ResNet's bottleneck block of three convolutions; the middle one is 3 x 3 with a stride or a dilation."""

    def __init__(self, inputs: int, inner: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        outputs = 4 * inner
        self.conv1, self.bn1 = nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, features: Tensor) -> Tensor:
        """(N, in, H, W) to (N, 4 inner, H / stride, W / stride)."""
        inner = functional.relu(self.bn1(self.conv1(features)))
        inner = functional.relu(self.bn2(self.conv2(inner)))
        return functional.relu(self.downsample(features) + self.bn3(self.conv3(inner)))


class PyramidPooling(nn.Module):
    """Concatenates features with their averages over grids of several sizes."""

    def __init__(self) -> None:
        super().__init__()
        each = FEATURES // len(BINS)
        parts = ((nn.Conv2d(FEATURES, each, 1, bias=False), nn.BatchNorm2d(each)) for _ in BINS)
        self.features = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(bins), *part, nn.ReLU()) for bins, part in zip(BINS, parts)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, 2 C, H, W)."""
        size = features.shape[2:]
        pooled = (functional.interpolate(part(features), size, mode="bilinear", align_corners=True) for part in self.features)
        return torch.cat([features, *pooled], 1)


class PSPNet(nn.Module):
    """Maps images (N, 3, H, W) to logits of `classes`; the network was trained on 473 x 473 crops."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer0 = nn.Sequential(*_halving(3, 64, 2), *_halving(64, 64), *_halving(64, 128), nn.MaxPool2d(3, 2, 1))
        self.layer1 = _stage(128, 64, 3)
        self.layer2 = _stage(256, 128, 4, stride=2)
        self.layer3 = _stage(512, 256, 6, dilation=2)
        self.layer4 = _stage(1024, 512, 3, dilation=4)
        self.ppm = PyramidPooling()
        self.cls = nn.Sequential(
            nn.Conv2d(2 * FEATURES, 512, 3, padding=1, bias=False),
            nn.BatchNorm2d(512),
            nn.ReLU(),
            nn.Dropout2d(0.1),
            nn.Conv2d(512, classes, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, classes, H / 8, W / 8)."""
        features = self.layer2(self.layer1(self.layer0(images)))
        logits: Tensor = self.cls(self.ppm(self.layer4(self.layer3(features))))
        return logits

    def labels(self, images: Tensor) -> Tensor:
        """Return the most likely class of every pixel, (N, H, W)."""
        return functional.interpolate(self(images), size=images.shape[2:], mode="bilinear", align_corners=True).argmax(1)


def _halving(inputs: int, outputs: int, stride: int = 1) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()


def _stage(inputs: int, inner: int, blocks: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    first = Bottleneck(inputs, inner, stride, dilation)
    return nn.Sequential(first, *(Bottleneck(4 * inner, inner, 1, dilation) for _ in range(blocks - 1)))

"""BiSeNet on ResNet-18 (Yu et al., ECCV 2018) for face parsing with the published weights.

Layers are named as in those weights.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 19


class ConvNormRelu(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, padding: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H, W)."""
        return functional.relu(self.bn(self.conv(features)))


class BasicBlock(nn.Module):
    """ResNet's block of two 3 x 3 convolutions."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, features: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H / stride, W / stride)."""
        inner = functional.relu(self.bn1(self.conv1(features)))
        return functional.relu(self.downsample(features) + self.bn2(self.conv2(inner)))


class ResNet18Trunk(nn.Module):
    """ResNet-18 without its classifier; yields the features at strides 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))

    def forward(self, images: Tensor) -> Iterator[Tensor]:
        """(N, 3, H, W) to (N, 128, H / 8, W / 8), (N, 256, H / 16, W / 16), (N, 512, H / 32, W / 32)."""
        features = self.layer1(self.maxpool(functional.relu(self.bn1(self.conv1(images)))))
        for layer in (self.layer2, self.layer3, self.layer4):
            features = layer(features)
            yield features


class AttentionRefinement(nn.Module):
    """Channel attention computed from globally pooled features."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = ConvNormRelu(inputs, outputs)
        self.conv_atten = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H, W)."""
        features = self.conv(features)
        return features * torch.sigmoid(self.bn_atten(self.conv_atten(features.mean((2, 3), keepdim=True))))


class ContextPath(nn.Module):
    """Trunk features at stride 8, and refined features of strides 16 and 32, each upsampled to the next finer stride."""

    def __init__(self) -> None:
        super().__init__()
        self.resnet = ResNet18Trunk()
        self.arm16, self.arm32 = AttentionRefinement(256, 128), AttentionRefinement(512, 128)
        self.conv_head32, self.conv_head16 = ConvNormRelu(128, 128), ConvNormRelu(128, 128)
        self.conv_avg = ConvNormRelu(512, 128, 1, 0)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return trunk and refined features, (N, 128, H / 8, W / 8) each, and those of stride 32, (N, 128, H / 16, W / 16)."""
        eighth, sixteenth, last = self.resnet(images)
        whole = self.conv_avg(last.mean((2, 3), keepdim=True))
        coarse = self.conv_head32(_resize_like(self.arm32(last) + whole, sixteenth))
        fine = self.conv_head16(_resize_like(self.arm16(sixteenth) + coarse, eighth))
        return eighth, fine, coarse


def _resize_like(features: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(features, size=like.shape[2:], mode="nearest")


class FeatureFusion(nn.Module):
    """Fuses two feature maps and reweights the channels of the result."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convblk = ConvNormRelu(channels, channels, 1, 0)
        self.conv1 = nn.Conv2d(channels, channels // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(channels // 4, channels, 1, bias=False)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Two maps (N, C / 2, H, W) to (N, C, H, W)."""
        features = self.convblk(torch.cat([one, other], 1))
        weights = torch.sigmoid(self.conv2(functional.relu(self.conv1(features.mean((2, 3), keepdim=True)))))
        return features * weights + features


class LabelHead(nn.Module):
    """Maps features to class logits."""

    def __init__(self, inputs: int, inner: int, classes: int) -> None:
        super().__init__()
        self.conv = ConvNormRelu(inputs, inner)
        self.conv_out = nn.Conv2d(inner, classes, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(N, in, H, W) to (N, classes, H, W)."""
        return self.conv_out(self.conv(features))


class FaceLogits(NamedTuple):
    """Logits (N, classes, h, w): the network's output, and those of two auxiliary training heads.

    main and from_sixteenth are at stride 8, from_last is at stride 16.
    """

    main: Tensor
    from_sixteenth: Tensor
    from_last: Tensor


class BiSeNet(nn.Module):
    """Maps images (N, 3, H, W), with sides divisible by 32, to face-part logits."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.cp = ContextPath()
        self.ffm = FeatureFusion(256)
        self.conv_out = LabelHead(256, 256, classes)
        self.conv_out16, self.conv_out32 = LabelHead(128, 64, classes), LabelHead(128, 64, classes)

    def forward(self, images: Tensor) -> FaceLogits:
        """Return the logits of all three heads."""
        eighth, fine, coarse = self.cp(images)
        return FaceLogits(self.conv_out(self.ffm(eighth, fine)), self.conv_out16(fine), self.conv_out32(coarse))

    def labels(self, images: Tensor) -> Tensor:
        """Return the most likely class of every pixel, (N, H, W)."""
        logits = self(images).main
        return functional.interpolate(logits, size=images.shape[2:], mode="bilinear", align_corners=True).argmax(1)

"""SPVCNN: a sparse 3D U-Net with a point branch (Tang et al., ECCV 2020), as used in NeuralRecon."""

import torch
from torch import Tensor, nn

from deep3dmap.methods.neuralrecon.point_voxels import PointVoxels
from deep3dmap.ops.sparse import BatchNorm, Conv3d, ReLU, SparseBackend, SparseTensor

WIDTHS = (32, 64, 128, 96, 96)


class ConvBlock(nn.Module):
    """Sparse convolution, batch norm, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, size: int = 3, stride: int = 1, up: bool = False, backend: SparseBackend = "auto"
    ) -> None:
        super().__init__()
        conv = Conv3d(inputs, outputs, size, stride, transposed=up, backend=backend)
        self.net = nn.Sequential(conv, BatchNorm(outputs), ReLU())

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Return voxels at the block's stride."""
        out: SparseTensor = self.net(x)
        return out


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions with a shortcut, which is a 1x1x1 convolution if the widths differ."""

    def __init__(self, inputs: int, outputs: int, backend: SparseBackend = "auto") -> None:
        super().__init__()
        self.net = nn.Sequential(
            Conv3d(inputs, outputs, backend=backend),
            BatchNorm(outputs),
            ReLU(),
            Conv3d(outputs, outputs, backend=backend),
            BatchNorm(outputs),
        )
        shortcut = () if inputs == outputs else (Conv3d(inputs, outputs, 1), BatchNorm(outputs))
        self.downsample = nn.Sequential(*shortcut)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Return new features at the same voxels."""
        return x.replace(torch.relu(self.net(x).features + self.downsample(x).features))


class SPVCNN(nn.Module):
    """Maps features of points to features of the same points.

    width: factor of all channels; 1 gives 96 output channels. voxel_size: cell size in metres. dropout: 0.3, on coarse voxels.
    """

    def __init__(
        self, in_channels: int, width: float, voxel_size: float, dropout: bool = False, backend: SparseBackend = "auto"
    ) -> None:
        super().__init__()
        c = [int(width * channels) for channels in WIDTHS]
        self.voxel_size = voxel_size
        self.stem = nn.Sequential(Conv3d(in_channels, c[0], backend=backend), BatchNorm(c[0]), ReLU())
        self.stage1 = _down(c[0], c[1], backend)
        self.stage2 = _down(c[1], c[2], backend)
        self.up1 = _up(c[2], c[3], c[1], backend)
        self.up2 = _up(c[3], c[4], c[0], backend)
        self.point_transforms = nn.ModuleList([_point_transform(c[0], c[2]), _point_transform(c[2], c[4])])
        self.dropout = nn.Dropout(0.3) if dropout else nn.Identity()
        self.out_channels = c[4]

    def forward(self, features: Tensor, positions: Tensor, batch: Tensor) -> Tensor:
        """Map features (P, C) at positions (P, 3) in metres, with batch indices (P,), to (P, out_channels)."""
        points = PointVoxels(positions / self.voxel_size, batch)
        x0 = self.stem(points.voxelized(features))
        z0 = points.sampled(x0)
        x1 = self.stage1(points.averaged(z0, x0))
        x2 = self.stage2(x1)
        z1 = points.sampled(x2) + self.point_transforms[0](z0)
        y = points.averaged(z1, x2)
        y = _decode(self.up1, y.replace(self.dropout(y.features)), x1)
        y = _decode(self.up2, y, x0)
        return points.sampled(y) + self.point_transforms[1](z1)


def _down(inputs: int, outputs: int, backend: SparseBackend) -> nn.Sequential:
    return nn.Sequential(
        ConvBlock(inputs, inputs, 2, 2, backend=backend),
        ResidualBlock(inputs, outputs, backend),
        ResidualBlock(outputs, outputs, backend),
    )


def _up(inputs: int, outputs: int, skip: int, backend: SparseBackend) -> nn.ModuleList:
    residual = nn.Sequential(ResidualBlock(outputs + skip, outputs, backend), ResidualBlock(outputs, outputs, backend))
    return nn.ModuleList([ConvBlock(inputs, outputs, 2, 2, up=True, backend=backend), residual])


def _decode(up: nn.ModuleList, y: SparseTensor, skip: SparseTensor) -> SparseTensor:
    y = up[0](y)
    out: SparseTensor = up[1](y.replace(torch.cat([y.features, skip.features], 1)))
    return out


def _point_transform(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), BatchNormRows(outputs), nn.ReLU())


class BatchNormRows(nn.BatchNorm1d):
    """Batch norm over the rows of a matrix; a single row, which has no variance, is normalised with the running statistics."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (P, C)."""
        if self.training and len(x) < 2:
            mean, variance = self.running_mean, self.running_var
            return nn.functional.batch_norm(x, mean, variance, self.weight, self.bias, training=False, eps=self.eps)
        return super().forward(x)

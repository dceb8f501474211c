"""A network applied to every view's crop, and permutation-invariant pooling over any number of views."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from deep3dmap.core import UserError
from deep3dmap.metrics.silhouette import COVERAGE_THRESHOLD


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the encoder.

    groups: number of parameters in each group shared by the views, by name. width: channels of the first layer. crop_size: side
    in pixels of the crop around the subject. cells: the trunk's last map is pooled to this many cells along a side; positions
    are kept because the position of a limb indicates its pose.
    """

    groups: dict[str, int]
    width: int = 32
    crop_size: int = 64
    cells: int = 4
    blocks: tuple[int, ...] = (2, 2, 2, 2)

    def __post_init__(self) -> None:
        if self.width < 4 or min(self.blocks) < 1:
            raise UserError(f"multiview_face: width must be at least 4 and blocks at least 1, got {self.width}, {self.blocks}")


class Encoding(NamedTuple):
    """Output of the encoder for B subjects in V views.

    shared: {group: (B, n)} in units of sigma. rotation: (B, V, 3, 3) camera from subject. centre: (B, V, 2) position of the
    subject's origin relative to the image centre, as a fraction of the longer side. log_size: (B, V) log of the subject's size
    as a fraction of the longer side. confidence: (B, V) positive weight of each view.
    """

    shared: dict[str, Tensor]
    rotation: Tensor
    centre: Tensor
    log_size: Tensor
    confidence: Tensor


class MultiViewEncoder(nn.Module):
    """A ResNet-18 per view; features are pooled by a confidence-weighted mean and a maximum over the views (section 4)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config, self.groups = config, dict(config.groups)
        widths = [config.width * 2**stage for stage in range(len(config.blocks))]
        layers: list[nn.Module] = [nn.Conv2d(4, widths[0], 5, 2, 2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
        before = widths[0]
        for stage, (width, blocks) in enumerate(zip(widths, config.blocks)):
            for block in range(blocks):
                layers.append(ResidualBlock(before, width, 2 if stage and not block else 1))
                before = width
        self.trunk = nn.Sequential(*layers)
        # A crop does not show where in the image it came from, which affects its perspective, so the box is also an input.
        self.reading = nn.Sequential(nn.Linear(before * config.cells**2 + 3, 2 * before), nn.ReLU())
        before *= 2
        self.view_head = nn.Sequential(nn.Linear(before, before), nn.ReLU(), nn.Linear(before, 10))
        self.shared_head = nn.Sequential(
            nn.Linear(2 * before, before), nn.ReLU(), nn.Linear(before, sum(config.groups.values()))
        )
        self._start_at_the_mean()

    def _start_at_the_mean(self) -> None:
        # The first prediction is the mean shape, upright and centred, as in a fit without an encoder.
        for head in (self.view_head, self.shared_head):
            last = head[-1]
            assert isinstance(last, nn.Linear)
            nn.init.normal_(last.weight, 0, 1e-3)
            nn.init.zeros_(last.bias)
        upright = torch.tensor([1.0, 0, 0, 0, -1, 0])  # subjects have y up and face along z, cameras y down
        with torch.no_grad():
            last = self.view_head[-1]
            assert isinstance(last, nn.Linear)
            last.bias[:6] = upright

    def forward(self, images: Tensor, masks: Tensor, present: Tensor) -> Encoding:
        """Encode B subjects.

        images: (B, V, 3, H, W) RGB in [0, 1]. masks: (B, V, H, W) coverage. present: (B, V) bool, False for absent views.
        Raises ValueError if a subject has no view.
        """
        if not bool(present.any(1).all()):
            raise ValueError("cannot encode a subject without any view")
        batch, views = present.shape
        pictures = torch.cat([2 * images - 1, 2 * masks[:, :, None] - 1], 2).flatten(0, 1)
        boxes = subject_boxes(masks.flatten(0, 1))
        maps = self.trunk(crops(pictures, boxes, self.config.crop_size))
        cells = nn.functional.adaptive_avg_pool2d(maps, self.config.cells).flatten(1)
        features = self.reading(torch.cat([cells, boxes], 1)).unflatten(0, (batch, views))
        own = self.view_head(features)
        boxes = boxes.unflatten(0, (batch, views))
        confidence = nn.functional.softplus(own[..., 9]) * present
        return Encoding(
            shared=self._shared(features, confidence, present),
            rotation=rotation_from_6d(own[..., :6]),
            centre=boxes[..., :2] + own[..., 6:8] * boxes[..., 2:],
            log_size=boxes[..., 2].log() + own[..., 8],
            confidence=confidence,
        )

    def _shared(self, features: Tensor, confidence: Tensor, present: Tensor) -> dict[str, Tensor]:
        share = confidence / confidence.sum(1, keepdim=True)
        mean = (share[..., None] * features).sum(1)
        largest = features.masked_fill(~present[..., None], -torch.inf).amax(1)
        values = self.shared_head(torch.cat([mean, largest], 1))
        return dict(zip(self.groups, values.split(list(self.groups.values()), 1)))


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm and a shortcut (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        plain = inputs == outputs and stride == 1
        self.shortcut = (
            nn.Identity()
            if plain
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        return torch.relu(self.main(features) + self.shortcut(features))


def subject_boxes(masks: Tensor, room: float = 1.2) -> Tensor:
    """Return squares around masks (N, H, W): (N, 3) centre x and y relative to the image centre, and side.

    All are fractions of the image's longer side. An empty mask yields the whole image. room: side of the square relative to the
    longer side of the mask's bounding box.
    """
    height, width = masks.shape[1:]
    bounds = []
    for axis, count in ((1, width), (2, height)):
        there = (masks > COVERAGE_THRESHOLD).any(axis)
        at = torch.arange(count, device=masks.device)
        first = torch.where(there, at, count).amin(1)
        last = torch.where(there, at + 1, 0).amax(1)
        bounds.append((torch.where(last > 0, first, 0), torch.where(last > 0, last, count)))
    (left, right), (top, bottom) = bounds
    side = room * torch.maximum(right - left, bottom - top)
    box = torch.stack([(left + right - width) / 2, (top + bottom - height) / 2, side], 1)
    return box.to(masks) / max(height, width)


def crops(pictures: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Crop squares (N, 3) in the format of `subject_boxes` from pictures (N, C, H, W); returns (N, C, size, size)."""
    sides = pictures.new_tensor([pictures.shape[3], pictures.shape[2]]) / max(pictures.shape[2:])
    offsets = (torch.arange(size, device=pictures.device) + 0.5) / size - 0.5
    grid = torch.stack(torch.meshgrid(offsets, offsets, indexing="xy"), -1)
    places = 2 * (boxes[:, None, None, :2] + grid * boxes[:, None, None, 2:]) / sides
    return nn.functional.grid_sample(pictures, places, mode="bilinear", padding_mode="border", align_corners=False)


def rotation_from_6d(values: Tensor) -> Tensor:
    """Return rotations (..., 3, 3) whose first two columns are `values` (..., 6) made orthonormal (Zhou et al., 2019)."""
    first = nn.functional.normalize(values[..., :3], dim=-1)
    second = values[..., 3:] - (first * values[..., 3:]).sum(-1, keepdim=True) * first
    second = nn.functional.normalize(second, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)

"""The unposed photographs of one scene, and their resized versions for the steps of a fit."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from deep3dmap.core.errors import UserError
from deep3dmap.geometry.cameras import scale_intrinsics
from deep3dmap.methods.gnerf.objectives import ImagePlane

MIN_IMAGES = 2


@dataclass(frozen=True)
class Photographs:
    """images: (N, 3, H, W) in [-1, 1]. image_plane: shared by all images, with the mean of the given intrinsics."""

    images: Tensor
    image_plane: ImagePlane

    def some(self, rows: Tensor, width: int, height: int) -> tuple[Tensor, ImagePlane]:
        """Return the photographs at `rows`, resized with antialiasing, and their image plane."""
        images = self.images[rows]
        if (height, width) != images.shape[2:]:
            images = interpolate(images, (height, width), mode="bilinear", antialias=True)
        factors = width / self.image_plane.width, height / self.image_plane.height
        scale = scale_intrinsics(torch.eye(3), *factors).to(self.image_plane.intrinsics)
        return images, ImagePlane(scale @ self.image_plane.intrinsics, height, width)


def read_photographs(given: dict[str, Any], device: torch.device) -> Photographs:
    """Read `images` and `intrinsics`; raises UserError for too few images, different sizes, and wrong intrinsics."""
    pictures = [np.asarray(image, np.float32) for image in given["images"]]
    if len(pictures) < MIN_IMAGES:
        raise UserError(f"gnerf needs at least {MIN_IMAGES} images of a scene, got {len(pictures)}")
    sizes = {picture.shape for picture in pictures}
    if len(sizes) > 1:
        raise UserError(
            f"gnerf needs images of the same size, got {sorted(shape[1:] for shape in sizes)}; resize them in the dataset"
        )
    all_intrinsics = np.asarray(given["intrinsics"], np.float64)
    if all_intrinsics.shape != (len(pictures), 3, 3):
        raise UserError(f"intrinsics must be (V, 3, 3) for V = {len(pictures)} images, got {all_intrinsics.shape}")
    images = torch.from_numpy(np.stack(pictures)).to(device) * 2 - 1
    image_plane = torch.from_numpy(all_intrinsics.mean(0)).float().to(device)
    return Photographs(images, ImagePlane(image_plane, *images.shape[2:]))

"""unsup3d: depth, albedo, view and lighting of probably symmetric objects from single pictures (Wu et al., CVPR 2020)."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from deep3dmap.core import Asset, MethodCard, Reconstruction, UserError
from deep3dmap.frameworks import BaseFramework
from deep3dmap.geometry.plain_background import plain_background_mask
from deep3dmap.methods.unsup3d.losses import explanation_terms
from deep3dmap.methods.unsup3d.networks import Unsup3DModel, Unsup3DNetworks, load_networks
from deep3dmap.methods.unsup3d.options import Unsup3DConfig
from deep3dmap.nn.lpips import read_lpips
from deep3dmap.nn.relief_findings import relief_reconstruction
from deep3dmap.nn.relief_model import Priors, ReliefSpace
from deep3dmap.nn.relief_networks import PER_GROUP


class Unsup3D(BaseFramework):
    """Explains each picture by a relief and by its mirror image; the symmetry of objects determines their shape."""

    card = MethodCard(
        title="unsup3d",
        authors="S. Wu, C. Rupprecht, A. Vedaldi",
        year=2020,
        paper="Unsupervised Learning of Probably Symmetric Deformable 3D Objects from Images in the Wild, CVPR 2020",
        tasks=("shape",),
        consumes=("image",),
        produces=("depth", "mesh"),
        trains_on=("image",),
        licence="MIT (the original code; none of it is used here)",
        tried_on=("face_depth",),
        frame="relief",
        assets=(
            Asset("VGG-16", "lpips", "BSD-2-Clause", "the perceptual term", "richzhang/PerceptualSimilarity with VGG-16"),
            Asset("networks", "networks", "MIT", "a published checkpoint", "elliottwu/unsup3d"),
        ),
    )
    config_type = Unsup3DConfig
    config: Unsup3DConfig
    frozen = ("vgg",)
    # Pixel weights are normalised by the number of visible pixels in the whole batch.
    draws = True

    def __init__(self, config: Unsup3DConfig) -> None:
        super().__init__(config)
        c = config
        if c.width % PER_GROUP:
            raise UserError(f"method.width={c.width}: must be a multiple of {PER_GROUP}, the channels per normalisation group")
        self.networks = Unsup3DNetworks(c.image_size, width=c.width or None, code=c.code, bulge=c.bulge)
        if c.networks:
            load_networks(self.networks, Path(c.networks))
        self.vgg = read_lpips(Path(c.lpips)) if c.lpips else None
        border = 0.3 * c.nearest + 0.7 * c.farthest
        space = ReliefSpace(
            c.image_size, c.nearest, c.farthest, border, pull=1.0, rotation=c.rotation, shift=c.shift, shift_z=c.shift_z
        )
        self.model = Unsup3DModel(self.networks, space, Priors())
        mirrored, perceptual = c.mirrored, c.perceptual
        self._weights = {
            "photometric": 1.0,
            "photometric_mirrored": mirrored,
            "perceptual": perceptual,
            "perceptual_mirrored": perceptual * mirrored,
        }

    @classmethod
    def trains(cls, config: Unsup3DConfig) -> bool:
        """Return False when published networks are given, which are used unchanged."""
        return not config.networks

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Explain pictures (N, 3, S, S) in [0, 1]; the objects are followed by their mirrored copies."""
        images = self._pictures(inputs)
        found = self.model.explain(images, self.model.canonical(images), mirror=True)
        return {"found": found, "deviations": self.networks.confidence(images) if self.config.confidence else None}

    def losses(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return the weighted terms of `explanation_terms`."""
        images = self._pictures(batch)
        walls = [plain_background_mask(one / 2 + 0.5) for one in images] if self.config.plain_wall else None
        mask = torch.stack(walls)[:, None] if walls else None
        terms = explanation_terms(images, outputs["found"], outputs["deviations"], self.vgg, mask)
        return {name: self._weights[name] * term for name, term in terms.items()}

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Return depth and normals in the picture's own view, the relief as a mesh, and renderings of other views as files."""
        images = self._pictures({"image": torch.from_numpy(np.asarray(given["image"], np.float32))[None].to(self.device)})
        found = self.model.explain(images, self.model.canonical(images))
        return relief_reconstruction(self.model, found, {}, {"perceptual": "VGG" if self.vgg is not None else "none"})

    def _pictures(self, batch: dict[str, Any]) -> Tensor:
        """Return pictures (N, 3, S, S) in [-1, 1] at the working size. Raises UserError for pictures that are not square."""
        images: Tensor = batch["image"]
        side, (rows, columns) = self.config.image_size, images.shape[2:]
        if rows != columns:
            raise UserError(f"unsup3d requires square pictures, got {columns} x {rows}; crop them to squares")
        if side != rows:
            images = interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)
        return images * 2 - 1

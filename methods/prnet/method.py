"""PRNet: a network that maps a face crop to a UV position map, which yields dense geometry and landmarks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from deep3dmap.core import Asset, MethodCard, Reconstruction, UserError
from deep3dmap.core.options import ascending, option
from deep3dmap.data.face_atlas import face_atlas
from deep3dmap.frameworks import BaseFramework
from deep3dmap.geometry.face_crop import crop_from_detector_box, positions_to_image, warp
from deep3dmap.geometry.position_maps import reconstruction_of_map, resample
from deep3dmap.geometry.uv_atlas import UVAtlas
from deep3dmap.methods.prnet.augmentation import Augmentation
from deep3dmap.methods.prnet.losses import landmark_loss, position_loss, weight_penalty
from deep3dmap.methods.prnet.official_weights import load_official
from deep3dmap.nn import ResFCN256
from deep3dmap.render.face_details import add_details

LEGACY_MEAN = (103.53, 116.28, 123.675)  # blue, green, red in 0..255, as in the older deep3dmap port


@dataclass
class PRNetConfig:
    """Network, loss and augmentation. The defaults follow the paper."""

    resolution: int = option(256, "side of the crop and of the position map in pixels, a multiple of 32", valid="[1, inf)")
    width: int = option(16, "channels of the first layer; all others scale with it", low=4, high=32, log=True, valid="[1, inf)")
    position_scale: float = option(1.1, "largest position the network can output, in sides of the crop", valid="(0, inf)")
    padding: str = option("tf", "tf: the official network; legacy: the older deep3dmap port", choices=("tf", "legacy"))
    bn_momentum: float = option(
        0.001, "weight of a new batch in batch norm's running statistics", low=1e-3, high=0.3, log=True, valid="(0, 1]"
    )
    constants: bool = option(False, "learn constant maps in the decoder (not in the paper), which improves short trainings")
    start: str = option("xavier", "initialisation: xavier, or smooth for short trainings", choices=("xavier", "smooth"))
    pixels: str = option(
        "rgb", "rgb: RGB in [0, 1]; bgr: as in the older port, BGR in 0..255 minus its mean", choices=("rgb", "bgr")
    )
    atlas: str = option("grid_head", "grid_head, an atlas saved as .npz, or PRNet's uv-data folder")
    weights: str = option("", "initial weights: shipped, the official TensorFlow checkpoint, or a .pth of a port")
    centers: str = option(
        "auto",
        "crop coordinate of the first pixel's centre: half (0.5), integer (0, for third-party weights), auto: by weights",
        choices=("auto", "half", "integer"),
    )
    loss: str = option("l2", "distance between positions: l2, l1 or norm", choices=("l2", "l1", "norm"))
    landmark_factor: float = option(
        0.0, "weight of an additional L1 loss on the 68 landmarks", low=0.0, high=1.0, valid="[0, inf)"
    )
    weight_penalty: float = option(
        0.0, "weight of sum(w^2) / 2 over the convolutions (official: 2e-4)", low=0.0, high=1e-3, valid="[0, inf)"
    )
    rotation: float = option(45.0, "augmentation: maximum rotation in degrees", low=0.0, high=90.0, valid="[0, 180]")
    translation: float = option(
        0.1, "augmentation: maximum shift as a fraction of the crop's side", low=0.0, high=0.3, valid="[0, inf)"
    )
    scale: list[float] = option([0.9, 1.2], "augmentation: minimum and maximum scale", valid="(0, inf)", length=2)
    color: list[float] = option(
        [0.6, 1.4], "augmentation: minimum and maximum gain of each colour channel", valid="[0, inf)", length=2
    )
    occluders: float = option(0.5, "augmentation: probability of noise-textured occluders", low=0.0, high=1.0, valid="[0, 1]")
    light: float = option(0.0, "augmentation: probability of a shadow or uneven lighting", low=0.0, high=1.0, valid="[0, 1]")
    camera: float = option(
        0.0, "augmentation: probability of camera artefacts: exposure, blur, grain", low=0.0, high=1.0, valid="[0, 1]"
    )
    flip: float = option(
        0.0,
        "augmentation: probability of mirroring the face (300W-LP already includes mirrored faces)",
        low=0.0,
        high=1.0,
        valid="[0, 1]",
    )


class PRNet(BaseFramework):
    """Position map regression (Feng et al., ECCV 2018). The atlas is stored in buffers, so each checkpoint includes its own."""

    card = MethodCard(
        title="PRNet",
        authors="Yao Feng, Fan Wu, Xiaohu Shao, Yanfeng Wang, Xi Zhou",
        year=2018,
        paper="Joint 3D Face Reconstruction and Dense Alignment with Position Map Regression Network, ECCV 2018",
        tasks=("face",),
        consumes=("image", "box"),
        produces=("position_map", "landmarks", "points", "mesh"),
        trains_on=("crop", "position_map"),
        frame="image",
        assets=(
            Asset(
                "official weights",
                "weights",
                "MIT",
                "the published network, or a PyTorch port of it",
                "YadiraF/PRNet (256_256_resfcn256_weight)",
            ),
            Asset("UV atlas", "atlas", "MIT", "the atlas of the published network", "YadiraF/PRNet (uv-data)", ("grid_head",)),
        ),
        licence="MIT",
    )
    config_type = PRNetConfig
    config: PRNetConfig
    landmark_texels: Tensor
    face_mask: Tensor
    region_weight: Tensor
    canonical: Tensor

    def __init__(self, config: PRNetConfig) -> None:
        super().__init__(config)
        if config.resolution % 32 or config.width % 2:
            raise UserError(
                f"method.resolution must be a multiple of 32 and method.width even, got {config.resolution} and {config.width}"
            )
        constants = config.resolution if config.constants else 0
        self.network = ResFCN256(config.width, config.padding, config.bn_momentum, constants=constants)
        if config.start == "smooth":
            self.network.initialise_smooth_decoder()
        self.others_weights = bool(config.weights) and load_official(self.network, Path(config.weights).expanduser())
        atlas = face_atlas(config.atlas, config.resolution)
        self.register_buffer("landmark_texels", torch.from_numpy(atlas.landmark_texels))
        self.register_buffer("face_mask", torch.from_numpy(atlas.face_mask))
        self.register_buffer("region_weight", torch.from_numpy(atlas.region_weight))
        # All zeros if the atlas has no canonical face, so that the state dict has the same tensors for every atlas.
        none = np.zeros((3, config.resolution, config.resolution), np.float32)
        self.register_buffer("canonical", torch.from_numpy(none if atlas.canonical is None else atlas.canonical))
        self.augmentation = Augmentation(
            config.rotation, config.translation, ascending(config, "scale"), ascending(config, "color"), config.occluders,
            config.flip, config.light, config.camera,
        )  # fmt: skip

    @classmethod
    def trains(cls, config: PRNetConfig) -> bool:
        """Return False when weights are given."""
        return not config.weights

    @property
    def atlas(self) -> UVAtlas:
        """The atlas stored in the buffers."""
        canonical = self.canonical.cpu().numpy() if self.canonical.any() else None
        texels, mask, weight = (b.cpu().numpy() for b in (self.landmark_texels, self.face_mask, self.region_weight))
        return UVAtlas(texels, mask, weight, canonical)

    @property
    def normalizer(self) -> float:
        """Divisor from crop pixels to the network's output range [0, 1]."""
        return self.config.position_scale * self.config.resolution

    @property
    def _first_center(self) -> float:
        """Crop coordinate of the first pixel's centre in the network's convention."""
        named = self.config.centers
        return 0.0 if named == "integer" or (named == "auto" and self.others_weights) else 0.5

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Map `crop` (B, 3, C, C) of any size to `position_map` (B, 3, R, R), normalised to [0, 1]."""
        crop = _resized(inputs["crop"], self.config.resolution, align_corners=False)
        return {"position_map": self.network(_legacy_pixels(crop) if self.config.pixels == "bgr" else crop)}

    def losses(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """Compare with `position_map` (B, 3, S, S) in pixels of `crop`; targets outside the output range are clamped."""
        predicted = outputs["position_map"].float()
        pixels = batch["position_map"] * (self.config.resolution / batch["crop"].shape[-1])
        pixels = _resized(pixels - self._shift(pixels), self.config.resolution, align_corners=True)
        target = (pixels / self.normalizer).clamp(0, 1)
        terms = {"position": position_loss(predicted, target, self.region_weight, self.config.loss)}
        if self.config.landmark_factor:
            rows, columns = self.landmark_texels.T
            term = landmark_loss(predicted[..., rows, columns], target[..., rows, columns])
            terms["landmarks"] = self.config.landmark_factor * term
        if self.config.weight_penalty:
            terms["penalty"] = self.config.weight_penalty * weight_penalty(self.network.convolution_weights())
        return terms

    def transform(self, sample: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
        """Augment a sample of any size and resize its crop and map to the network's size."""
        size = self.config.resolution
        crop, positions = self.augmentation(sample["crop"], sample["position_map"], size, generator)
        return {"crop": crop, "position_map": resample(positions, size)}

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Crop around the detector box, predict, and map the result back to image pixels; larger z is nearer."""
        size = self.config.resolution
        crop_from_image = crop_from_detector_box(given["box"], size)
        crop = torch.from_numpy(warp(given["image"], crop_from_image, size))[None].to(self.device)
        pixels = torch.from_numpy(self._predict(crop) * self.normalizer)
        positions = (pixels + self._shift(pixels)).numpy()
        return reconstruction_of_map(positions_to_image(positions, crop_from_image), self.atlas, given["image"])

    def _shift(self, positions: Tensor) -> Tensor:
        """Offset (3, 1, 1) of x and y from the network's pixel centres to the package's."""
        return positions.new_tensor([0.5 - self._first_center, 0.5 - self._first_center, 0])[:, None, None]

    def details(self, reconstruction: Reconstruction, given: dict[str, Any]) -> Reconstruction:
        """Add texture, depth, visibility, pose and a frontal view."""
        return add_details(reconstruction, self.atlas, given["image"])

    def _predict(self, crop: Tensor) -> NDArray[np.float32]:
        # Batch norm must not use the statistics of this single crop, even if the method is in training mode.
        training = self.training
        self.set_mode(training=False)
        with torch.no_grad():
            normalized = self.forward({"crop": crop})["position_map"][0].float().cpu().numpy()
        self.set_mode(training)
        return normalized


def _legacy_pixels(crop: Tensor) -> Tensor:
    return 255 * crop.flip(1) - crop.new_tensor(LEGACY_MEAN)[:, None, None]


def _resized(pictures: Tensor, size: int, align_corners: bool) -> Tensor:
    if pictures.shape[-1] == size:
        return pictures
    # Pixels of a crop are areas, texels of a map are points, hence the two values of align_corners.
    return functional.interpolate(pictures, (size, size), mode="bilinear", align_corners=align_corners)

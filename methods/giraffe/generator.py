"""The generator: renders a scene of objects and background to a feature map, and the feature map to a picture.

Objects are evaluated only inside their boxes; their density is zero elsewhere, so the picture is unaffected. Parameters are
named as in the official code, so that its checkpoints can be loaded.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from deep3dmap.methods.giraffe.bounding_boxes import Boxes, into_boxes, turn_into_boxes
from deep3dmap.methods.giraffe.camera_sampling import cast_rays, inverse_intrinsics, jitter_depths
from deep3dmap.methods.giraffe.composition import ray_weights, share_by_density, share_to_densest
from deep3dmap.methods.giraffe.feature_field import FeatureField, FieldConfig
from deep3dmap.methods.giraffe.latent_codes import Codes
from deep3dmap.methods.giraffe.neural_renderer import NeuralRenderer


@dataclass(frozen=True)
class GeneratorConfig:
    """Sizes of the generator. object, background: their fields, with equally many features.

    resolution: side of the feature map. doublings: number of upsampling steps of the neural renderer. samples: per ray.
    near, far: depths of the first and the last sample. padding: margin around a box within which its object is evaluated.
    """

    object: FieldConfig = field(default_factory=FieldConfig)
    background: FieldConfig = field(default_factory=lambda: FieldConfig(128, 64, 4, (), downscale=12.0))
    resolution: int = 16
    doublings: int = 2
    fewest_channels: int = 32
    samples: int = 64
    near: float = 0.5
    far: float = 6.0
    padding: float = 0.1
    field_of_view: float = 49.13
    composition: Literal["mean", "densest"] = "mean"


class Scene(NamedTuple):
    """B scenes of K objects each.

    world_from_camera: (B, 4, 4), axes as in `camera_sampling`. background_rotation: (B, 3, 3). present: (B, K) bool, whether
    each object exists; None if all do.
    """

    codes: Codes
    boxes: Boxes
    world_from_camera: Tensor
    background_rotation: Tensor
    present: Tensor | None = None


class Rendering(NamedTuple):
    """image: (B, 3, S, S) RGB in [0, 1]. features: (B, C, R, R), rows from the top. visible: (F, B, R, R), each field's
    fraction of each pixel: the objects in their order, then the background.
    """

    image: Tensor
    features: Tensor
    visible: Tensor


class _Samples(NamedTuple):
    """points: (B, N, 3) with N = R R S. depths: (B, R R, S). directions: (B, R R, 3)."""

    points: Tensor
    depths: Tensor
    directions: Tensor


class _Field(NamedTuple):
    """density: (G, B, R R, S) of G fields. features: (M, C) at the flat sample indices `where` (M,), or at all if None."""

    density: Tensor
    features: Tensor
    where: Tensor | None


class Generator(nn.Module):
    """Fields of objects and background, and the neural renderer."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.decoder = FeatureField(config.object)
        self.background_generator = FeatureField(config.background)
        self.neural_renderer = NeuralRenderer(config.object.features, config.doublings, config.fewest_channels)

    def forward(
        self,
        scene: Scene,
        noise: torch.Generator | None = None,
        parts: Literal["all", "objects", "background"] = "all",
    ) -> Rendering:
        """Render scenes. noise: random generator to jitter depths and densities, as in training; None renders without noise."""
        samples = self._samples(scene, noise)
        fields = [] if parts == "background" else [self._objects(scene, samples, noise)]
        fields += [] if parts == "objects" else [self._background(scene, samples, noise)]
        share = share_by_density if self.config.composition == "mean" else share_to_densest
        density, shares = share(torch.cat([one.density for one in fields]))
        weights = shares * ray_weights(density, samples.depths, samples.directions)
        side = self.config.resolution
        features = self._sum_features(fields, weights).unflatten(1, (side, side)).movedim(-1, 1)
        return Rendering(self.neural_renderer(features), features, weights.sum(-1).unflatten(-1, (side, side)))

    def opacity(self, scene: Scene) -> Tensor:
        """Return the opacity of every object on its own, (B, K, R, R), ignoring occlusion by others."""
        samples = self._samples(scene, None)
        density = self._objects(scene, samples, None).density
        weights = ray_weights(density, samples.depths, samples.directions, last_step=0.0)
        side = self.config.resolution
        return weights.sum(-1).unflatten(-1, (side, side)).movedim(0, 1)

    def _samples(self, scene: Scene, noise: torch.Generator | None) -> _Samples:
        c = self.config
        rays = cast_rays(inverse_intrinsics(c.field_of_view), scene.world_from_camera, c.resolution)
        directions = rays.directions.flatten(1, 2)
        depths = torch.linspace(c.near, c.far, c.samples).to(directions).expand(*directions.shape[:2], c.samples)
        if noise is not None:
            depths = jitter_depths(depths, torch.rand(depths.shape, generator=noise, device=noise.device).to(depths))
        points = rays.origins[:, None, None] + depths[..., None] * directions[:, :, None]
        return _Samples(points.flatten(1, 2), depths, directions)

    def _objects(self, scene: Scene, samples: _Samples, noise: torch.Generator | None) -> _Field:
        boxes, codes = scene.boxes, scene.codes
        scenes, count = boxes.scale.shape[:2]
        local = into_boxes(samples.points, boxes)
        inside = (local.abs() <= 1 + self.config.padding).all(-1)
        if scene.present is not None:
            inside = inside & scene.present[:, :, None]
        owner, place = inside.flatten(0, 1).nonzero(as_tuple=True)
        directions = turn_into_boxes(samples.directions, boxes)
        ray = owner * directions.shape[2] + place // self.config.samples
        codes_of = codes.shape.flatten(0, 1), codes.appearance.flatten(0, 1)
        raw, features = self.decoder(local.flatten(0, 1)[owner, place], directions.flatten(0, 2), *codes_of, owner, ray)
        where = (owner % count * scenes + owner // count) * samples.points.shape[1] + place
        density = raw.new_zeros(count * samples.points.shape[:2].numel()).index_put((where,), _positive(raw, noise))
        return _Field(density.view(count, *samples.depths.shape), features, where)

    def _background(self, scene: Scene, samples: _Samples, noise: torch.Generator | None) -> _Field:
        turned, directions = (one @ scene.background_rotation.transpose(1, 2) for one in (samples.points, samples.directions))
        codes = scene.codes.background_shape, scene.codes.background_appearance
        raw, features = self.background_generator(turned.flatten(0, 1), directions.flatten(0, 1), *codes)
        return _Field(_positive(raw, noise).view(1, *samples.depths.shape), features, None)

    def _sum_features(self, fields: list[_Field], weights: Tensor) -> Tensor:
        """Sum the features of all samples along their rays, (B, R R, C)."""
        scenes, rays, steps = weights.shape[1:]
        total, start = weights.new_zeros(scenes * rays, self.config.object.features), 0
        for one in fields:
            own = weights[start : start + len(one.density)].flatten()
            if one.where is None:
                total = total + torch.bmm(own.view(-1, 1, steps), one.features.unflatten(0, (-1, steps)))[:, 0]
            else:
                ray = one.where // steps % (scenes * rays)
                total = total.index_add(0, ray, own[one.where, None] * one.features)
            start += len(one.density)
        return total.unflatten(0, (scenes, rays))


def _positive(raw: Tensor, noise: torch.Generator | None) -> Tensor:
    if noise is not None:
        raw = raw + torch.randn(raw.shape, generator=noise, device=noise.device).to(raw)
    return raw.relu()

"""GAN2Shape: the shape of an object from one photograph and a generator of such photographs (Pan et al., ICLR 2021)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deep3dmap.config.schema import OptimizerConfig
from deep3dmap.core import Asset, MethodCard, Reconstruction, Step, UserError
from deep3dmap.frameworks import CustomFramework, TrainLoop
from deep3dmap.geometry.ellipsoid_relief import ellipsoid_depth
from deep3dmap.methods.gan2shape import steps
from deep3dmap.methods.gan2shape.findings import Findings, relief_reconstruction
from deep3dmap.methods.gan2shape.frozen_gan import frozen_gan
from deep3dmap.methods.gan2shape.inversion import inversion_loss, inversion_rate, latent_statistics
from deep3dmap.methods.gan2shape.judges import load_lpips, load_parser, object_mask, perceptual_distance
from deep3dmap.methods.gan2shape.latent_offset import LatentOffset
from deep3dmap.methods.gan2shape.masks import resize
from deep3dmap.methods.gan2shape.official_weights import load_networks
from deep3dmap.methods.gan2shape.options import PLAIN, UNTRAINED, GAN2ShapeConfig, at_stage
from deep3dmap.methods.gan2shape.phases import Phases, StepLoss
from deep3dmap.methods.gan2shape.projected import ProjectedSamples
from deep3dmap.methods.gan2shape.samplers import LightRange, ViewPrior, draw_lights
from deep3dmap.methods.gan2shape.shape_model import Priors, ShapeModel, ShapeNetworks, ShapeSpace, widen_yaw

_TRAIN_ONE = "train one by `deep3dmap train method=stylegan2/VARIANT dataset=NAME`"


class GAN2Shape(CustomFramework):
    """Five networks that are fitted to one photograph with the help of a frozen generator."""

    card = MethodCard(
        title="GAN2Shape",
        authors="X. Pan, B. Dai, Z. Liu, C. C. Loy, P. Luo",
        year=2021,
        paper="Do 2D GANs Know 3D Shape? Unsupervised 3D Shape Reconstruction from 2D Image GANs, ICLR 2021",
        tasks=("shape",),
        consumes=("image",),
        produces=("depth", "mesh"),
        licence="none given (the original code; none of it is used here)",
        tried_on=("face_depth",),
        frame="relief",
        assets=(
            Asset(
                "generator and discriminator",
                "gan",
                "that of the file",
                f"the GAN that shape is learned from; {_TRAIN_ONE}, or take one",
                "rosinality/stylegan2-pytorch and XingangPan/GAN2Shape",
                embedded=(UNTRAINED,),
            ),
            Asset("LPIPS", "lpips", "BSD-2-Clause", "the perceptual distance", "richzhang/PerceptualSimilarity with VGG-16"),
            Asset(
                "face parsing", "mask", "MIT", "the mask of the face", "zllrunning/face-parsing.PyTorch", embedded=(PLAIN,)
            ),
            Asset("networks", "networks", "that of the file", "a published checkpoint", "XingangPan/GAN2Shape"),
        ),
    )  # fmt: skip
    config_type = GAN2ShapeConfig
    config: GAN2ShapeConfig
    frozen = ("generator", "discriminator", "lpips", "parser")

    def __init__(self, config: GAN2ShapeConfig) -> None:
        super().__init__(config)
        c = config
        if c.fit_length < 1:
            raise UserError("gan2shape: the schedule has no step")
        self.generator, self.discriminator = frozen_gan(c.gan)
        self.lpips, self.parser = load_lpips(c.lpips), load_parser(c.mask)
        style = self.generator.size.style_dim
        self.networks = ShapeNetworks(c.image_size, style, width=c.width or None, code=c.code, offset_width=c.offset_width)
        if c.networks:
            load_networks(self.networks, Path(c.networks))
        self.latent = nn.Parameter(torch.zeros(1, style))
        self.projected = ProjectedSamples(c.collect, c.batch, style, c.image_size)
        space = ShapeSpace(c.image_size, rotation=c.rotation, shift=c.shift)
        self.view_prior = ViewPrior(torch.tensor(c.view_mean), torch.tensor(c.view_deviation).square().diag())
        if len(c.light_mean) != 4:
            raise UserError(f"gan2shape: light_mean has 4 numbers, got {len(c.light_mean)}")
        self.light_range = LightRange.of(c.light_range)
        self.model = ShapeModel(self.networks, space, Priors(self.view_prior.mean, torch.tensor(c.light_mean)))
        self.weights = steps.Weights(c.perceptual, c.smooth, c.regular)
        self._check_crop()

    def _check_crop(self) -> None:
        side = self.generator.size.resolution
        if self.config.crop > side:
            raise UserError(f"gan2shape: crop={self.config.crop} is larger than the generator's pictures of {side} pixels")
        LatentOffset(self.generator.mapping, self.config.offset_layers)

    # -- the fit ------------------------------------------------------------------------------------------------------

    def fit_steps(self, given: dict[str, Any], loop: TrainLoop) -> Iterator[Step]:
        """Find the picture's latent code, begin with an ellipsoid, and go through stages of three steps."""
        c, networks = self.config, self.networks
        picture = self._picture(given)
        # A mask that is no good is said before anything is learnt.
        prior = None if c.networks else self._ellipsoid(picture)
        loop.planned_steps = c.fit_length
        phases = Phases(loop, [self.latent, *networks.parameters()])
        adam = OptimizerConfig(lr=c.lr, weight_decay=c.weight_decay)
        yield from phases.run(
            *("inversion", [self.latent], c.inversion, lambda resumed: self._invert(picture, resumed)),
            OptimizerConfig(lr=c.inversion_rate),
            lambda step: inversion_rate(step, c.inversion),
        )
        if prior is not None:
            fit_ellipsoid = self._fit_ellipsoid(picture, prior)
            yield from phases.run("ellipsoid", networks.depth.parameters(), c.ellipsoid, lambda resumed: fit_ellipsoid, adam)
        everything_but_offset = [
            p for part in ("depth", "albedo", "view", "light") for p in getattr(networks, part).parameters()
        ]
        for stage in range(c.stages):
            first, second, third = c.steps_of(stage)
            step1 = self._step1(picture, at_stage(c.mirror_step1, stage))
            yield from phases.run(f"stage {stage} step 1", networks.albedo.parameters(), first, step1, adam)
            yield from phases.run(
                f"stage {stage} step 2", networks.offset.parameters(), second, lambda resumed: self._step2(picture), adam
            )
            step3 = self._step3(picture, at_stage(c.mirror_step3, stage))
            yield from phases.run(f"stage {stage} step 3", everything_but_offset, third, step3, adam)

    def _invert(self, picture: Tensor, resumed: bool) -> StepLoss:
        mean, spread = latent_statistics(self.projector)
        if not resumed:
            self.latent.data.copy_(mean)
        length = self.config.inversion
        return lambda step: inversion_loss(self.projector, self.latent, spread, picture, self.perceptual, step / length)

    def _ellipsoid(self, picture: Tensor) -> Tensor:
        c = self.config
        mask = object_mask(self.parser, picture, c.category)[0, 0].cpu()
        return ellipsoid_depth(mask, c.category, c.near, c.far).to(picture)  # type: ignore[arg-type]

    def _fit_ellipsoid(self, picture: Tensor, prior: Tensor) -> StepLoss:
        def loss_of(step: int) -> steps.Loss:
            distance = (self.model.space.to_depth(self.networks.depth(picture)) - prior).square().mean()
            return steps.Loss(distance, {"ellipsoid": distance})

        return loss_of

    def _step1(self, picture: Tensor, mirror: bool) -> Any:
        """Explain the picture; only the albedo learns."""

        def loss_of(step: int) -> steps.Loss:
            canonical = self.model.canonical(picture)
            return steps.step1(self.model, picture, canonical, self.weights, self.perceptual, mirror)[0]

        return lambda resumed: loss_of

    def _step2(self, picture: Tensor) -> StepLoss:
        """Make the generator show the object from elsewhere under other lights; only the offset encoder learns."""
        draw = self._pseudo_sampler(picture)
        own = self._own_picture()

        def loss_of(step: int) -> steps.Loss:
            pseudo = draw()
            found = self.projector.project(self.model, pseudo.images, self.latent, own)
            return steps.step2(found, pseudo, self.discriminator, self.weights)

        return loss_of

    def _step3(self, picture: Tensor, mirror: bool) -> Any:
        """Explain the generator's pictures and the first one by one object; all but the offset encoder learn."""

        def prepare(resumed: bool) -> StepLoss:
            if not resumed:
                self._collect(picture)
            samples = self.projected.pictures(self.projector)

            def loss_of(step: int) -> steps.Loss:
                canonical = self.model.canonical(picture)
                ours, _ = steps.step1(self.model, picture, canonical, self.weights, self.perceptual, mirror)
                sample = samples[step % len(samples)]
                theirs, _ = steps.step3(self.model, sample, canonical, self.weights, self.perceptual, mirror)
                terms = {**ours.terms, **{f"{name}_projected": value for name, value in theirs.terms.items()}}
                return steps.Loss(ours.total + theirs.total, terms)

            return loss_of

        return prepare

    @torch.no_grad()
    def _collect(self, picture: Tensor) -> None:
        draw, own = self._pseudo_sampler(picture), self._own_picture()
        for index in range(self.config.collect):
            pseudo = draw()
            found = self.projector.project(self.model, pseudo.images, self.latent, own)
            self.projected.keep(index, found.latent, pseudo.mask)

    def _pseudo_sampler(self, picture: Tensor) -> Any:
        """Return what draws pseudo samples of the object as it is explained now."""
        c = self.config
        with torch.no_grad():
            canonical = self.model.canonical(picture)
            found = self.model.explain(picture, canonical)
            mask = torch.ones_like(picture[:, :1])
            if c.use_mask:
                seen = object_mask(self.parser, picture, c.category)
                mask = steps.canonical_mask(self.model, canonical, found.views, seen)

        def draw() -> steps.Pseudo:
            views = widen_yaw(self.view_prior.draw(c.batch), c.view_scale).to(picture)
            return steps.pseudo_samples(self.model, found, mask, views, draw_lights(c.batch), self.light_range)

        return draw

    # -- what the steps share -----------------------------------------------------------------------------------------

    @property
    def projector(self) -> steps.Projector:
        """Moves the latent code."""
        offsets = LatentOffset(self.generator.mapping, self.config.offset_layers)
        return steps.Projector(self.generator, offsets, self.config.relative, self.config.crop or None)

    @property
    def perceptual(self) -> steps.Perceptual:
        """The distance of pictures beside that of their pixels."""
        return perceptual_distance(self.lpips, self.discriminator)

    @torch.no_grad()
    def _own_picture(self) -> Tensor:
        return self.projector.to_working_size(self.generator.synthesis(self.latent), self.config.image_size)

    def _picture(self, given: dict[str, Any]) -> Tensor:
        """Return the photograph (1, 3, S, S) in [-1, 1], at the working size. Raises UserError for one that is not square."""
        image = np.asarray(given["image"], np.float32)
        if image.shape[1] != image.shape[2]:
            raise UserError(f"gan2shape takes square pictures, got {image.shape[2]} x {image.shape[1]}; cut a square out first")
        picture = torch.from_numpy(image)[None] * 2 - 1
        return (picture if image.shape[1] == self.config.image_size else resize(picture, self.config.image_size)).to(
            self.device
        )

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Return depth and normals in the picture's own view, the relief as a mesh, and pictures from elsewhere as files."""
        picture = self._picture(given)
        found = self.model.explain(picture, self.model.canonical(picture))
        notes = {
            "gan": self.config.gan if self.config.gan == UNTRAINED else "trained",
            "perceptual": "LPIPS" if self.lpips is not None else "discriminator features",
            "mask": "face parsing" if self.parser is not None else "plain background",
        }
        return relief_reconstruction(Findings(self.model, found, self.projector, self.latent, self._own_picture()), notes)

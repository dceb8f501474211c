"""GAN2Shape: the shape of an object from one photograph and a generator of such photographs (Pan et al., ICLR 2021)."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deep3dmap.config.schema import OptimizerConfig
from deep3dmap.core import Asset, MethodCard, Reconstruction, Step, UserError
from deep3dmap.frameworks import CustomFramework, TrainLoop
from deep3dmap.frameworks.inputs import select
from deep3dmap.geometry.ellipsoid_relief import ellipsoid_depth
from deep3dmap.methods.gan2shape import steps
from deep3dmap.methods.gan2shape.bas_relief import ReliefScale
from deep3dmap.methods.gan2shape.findings import Findings, Wall
from deep3dmap.methods.gan2shape.frozen_gan import frozen_gan
from deep3dmap.methods.gan2shape.inversion import SPREAD_OF, inversion_loss, inversion_rate
from deep3dmap.methods.gan2shape.judges import load_lpips, load_parser, object_mask, perceptual_distance
from deep3dmap.methods.gan2shape.latent_offset import LatentOffset
from deep3dmap.methods.gan2shape.masks import background_color, resize
from deep3dmap.methods.gan2shape.networks import ShapeModel, ShapeNetworks
from deep3dmap.methods.gan2shape.official_weights import load_networks
from deep3dmap.methods.gan2shape.options import PLAIN, UNTRAINED, GAN2ShapeConfig, StageSchedule, check
from deep3dmap.methods.gan2shape.phases import Phases, StepLoss
from deep3dmap.methods.gan2shape.projected import ProjectedSamples
from deep3dmap.methods.gan2shape.pseudo_sampler import Explainer, PseudoSampler
from deep3dmap.methods.gan2shape.samplers import LightRange, ViewPrior
from deep3dmap.methods.gan2shape.stages import Stages
from deep3dmap.methods.gan2shape.subjects import Subjects
from deep3dmap.nn.relief_model import Priors, ReliefSpace
from deep3dmap.nn.stylegan2 import latent_statistics

_TRAIN_ONE = "train one with `deep3dmap train method=stylegan2/VARIANT dataset=NAME`"


class GAN2Shape(CustomFramework):
    """Fits five networks to one photograph with the help of a frozen generator."""

    card = MethodCard(
        title="GAN2Shape",
        authors="X. Pan, B. Dai, Z. Liu, C. C. Loy, P. Luo",
        year=2021,
        paper="Do 2D GANs Know 3D Shape? Unsupervised 3D Shape Reconstruction from 2D Image GANs, ICLR 2021",
        tasks=("shape",),
        consumes=("image",),
        produces=("depth", "mesh"),
        trains_on=("image",),
        licence="none given (the original code; none of it is used here)",
        tried_on=("face_depth",),
        frame="relief",
        assets=(
            Asset(
                "generator and discriminator",
                "gan",
                "depends on the file",
                f"the GAN to learn shape from; {_TRAIN_ONE}, or download one",
                "rosinality/stylegan2-pytorch and XingangPan/GAN2Shape",
                embedded=(UNTRAINED,),
                is_required=True,
            ),
            Asset("LPIPS", "lpips", "BSD-2-Clause", "the perceptual distance", "richzhang/PerceptualSimilarity with VGG-16"),
            Asset(
                "parsing network",
                "mask",
                "MIT",
                "the mask of the object: BiSeNet for faces, PSPNet on VOC for cats and cars, on ADE20K for churches",
                "zllrunning/face-parsing.PyTorch, hszhao/semseg",
                embedded=(PLAIN,),
            ),
            Asset("networks", "networks", "depends on the file", "a published checkpoint", "XingangPan/GAN2Shape"),
        ),
    )  # fmt: skip
    config_type = GAN2ShapeConfig
    config: GAN2ShapeConfig
    frozen = ("generator", "discriminator", "lpips", "parser")

    def __init__(self, config: GAN2ShapeConfig) -> None:
        super().__init__(config)
        c = config
        check(c)
        self.generator, self.discriminator = frozen_gan(c.gan)
        self.lpips, self.parser = load_lpips(c.lpips), load_parser(c.mask, c.category)
        style = self.generator.size.style_dim
        self.networks = ShapeNetworks(c.image_size, style, width=c.width or None, code=c.code, offset_width=c.offset_width)
        if c.networks:
            load_networks(self.networks, Path(c.networks))
        self.latent = nn.Parameter(torch.zeros(1, style))
        self.projected = ProjectedSamples(c.collect, c.batch, style, c.image_size)
        self.joint_latents = nn.Parameter(torch.zeros(c.joint, style))
        self.joint_projected = ProjectedSamples(c.joint_collect if c.joint else 0, c.joint_batch, style, c.image_size, c.joint)
        space = ReliefSpace(c.image_size, rotation=c.rotation, shift=c.shift)
        self.view_prior = ViewPrior(torch.tensor(c.view_mean), torch.tensor(c.view_deviation).square().diag())
        self.light_range = LightRange.of(c.light_range)
        self.model = ShapeModel(self.networks, space, Priors(self.view_prior.mean, torch.tensor(c.light_mean)))
        self.weights = steps.Weights(c.perceptual, c.smooth, c.regular, c.view_weight, c.relief_weight)
        self._check_crop()

    def _check_crop(self) -> None:
        side = self.generator.size.resolution
        if self.config.crop > side:
            raise UserError(f"method.crop={self.config.crop} is larger than the generator's pictures, {side} pixels a side")
        LatentOffset(self.generator.mapping, self.config.offset_layers)

    @classmethod
    def trains(cls, config: GAN2ShapeConfig) -> bool:
        """Return True if the networks are first trained jointly on many pictures."""
        return config.joint > 0

    # -- joint training and the fit -----------------------------------------------------------------------------------

    def train_steps(self, loop: TrainLoop) -> Iterator[Step]:
        """Invert many pictures, fit the depth network to their ellipsoids, and run the stages, alternating between pictures."""
        c = self.config
        if not c.joint:
            return
        if loop.world_size > 1:
            raise UserError("gan2shape: joint training requires one worker, which keeps its samples; set trainer.workers=1")
        if len(loop.dataset) < c.joint:
            raise UserError(f"method.joint={c.joint}, but the dataset has only {len(loop.dataset)} training pictures")
        loop.prepare(self)
        loop.planned_steps = c.joint_length
        subjects = Subjects(range(c.joint), lambda index: self._training_picture(loop, index), self.joint_latents)
        phases = Phases(loop, [self.latent, self.joint_latents, *self.networks.parameters()])
        for start in range(0, c.joint, c.joint_batch):
            members = range(start, min(start + c.joint_batch, c.joint))
            pictures = torch.cat([subjects.picture(index) for index in members])
            yield from self._invert(phases, f"inversion {start}", self.joint_latents, pictures, slice(start, members.stop))
        yield from self._begin_with_ellipsoids(phases, subjects)
        yield from self._stages(phases, subjects, c.joint_schedule, self.joint_projected)

    def fit_steps(self, given: dict[str, Any], loop: TrainLoop) -> Iterator[Step]:
        """Find the picture's latent code, fit the depth network to an ellipsoid, and run the stages of three steps."""
        c, picture = self.config, self._picture(given)
        loop.planned_steps = c.fit_length
        if not c.begins_trained:
            self._ellipsoid(picture)  # Raises for an unusable mask before any training.
        subjects = Subjects([picture], lambda one: one, self.latent)
        phases = Phases(loop, [self.latent, self.joint_latents, *self.networks.parameters()])
        yield from self._invert(phases, "inversion", self.latent, picture, slice(0, 1))
        if not c.begins_trained:
            yield from self._begin_with_ellipsoids(phases, subjects)
        yield from self._stages(phases, subjects, c.fit_schedule, self.projected)

    def _invert(self, phases: Phases, name: str, latents: nn.Parameter, pictures: Tensor, members: slice) -> Iterator[Step]:
        """Find the codes `latents[members]` of pictures (N, 3, S, S)."""
        length, projector, perceptual = self.config.inversion, self.projector, self.perceptual
        mean, spread = latent_statistics(self.generator.mapping, SPREAD_OF, torch.Generator(self.device).manual_seed(0))

        def prepare(resumed: bool) -> StepLoss:
            if not resumed:
                latents.data[members] = mean
            return lambda step: inversion_loss(projector, latents[members], spread, pictures, perceptual, step / length)

        adam = OptimizerConfig(lr=self.config.inversion_rate)
        yield from phases.run(name, [latents], length, prepare, adam, lambda step: inversion_rate(step, length))

    def _begin_with_ellipsoids(self, phases: Phases, subjects: Subjects) -> Iterator[Step]:
        ellipsoid = cache(lambda subject: self._ellipsoid(subjects.picture(subject)))

        def loss_of(step: int) -> steps.Loss:
            subject = subjects.turn(step)
            depth = self.model.space.to_depth(self.networks.depth(subjects.picture(subject)))
            distance = (depth - ellipsoid(subject)).square().mean()
            return steps.Loss(distance, {"ellipsoid": distance})

        learned = self.networks.depth.parameters()
        yield from phases.run("ellipsoid", learned, self.config.ellipsoid, lambda resumed: loss_of, self._adam)

    def _stages(
        self, phases: Phases, subjects: Subjects, schedule: StageSchedule, projected: ProjectedSamples
    ) -> Iterator[Step]:
        """Run the stages of three steps."""
        c, projector, masks = self.config, self.projector, cache(lambda subject: self.object_mask(subjects.picture(subject)))
        explainer = Explainer(self.model, projector, self.view_prior, self.light_range, c.view_scale, c.image_size)

        def residual_of(subject: int) -> Tensor:
            picture = subjects.picture(subject)
            return picture - projector.picture(subjects.latent(subject), picture.shape[-1])

        stages = Stages(
            *(self.model, subjects, schedule, projected, projector, self.discriminator, self.perceptual, self.weights),
            adam=self._adam,
            view_start_rate=c.view_start_rate,
            sampler=lambda: PseudoSampler(
                explainer, subjects, schedule.batch, masks if c.use_mask else None, plain=self.parser is None
            ),
            scale_of=cache(lambda subject: ReliefScale.of(self._ellipsoid(subjects.picture(subject)))),
            mask_of=masks if c.mask_photograph else None,
            residual_of=cache(residual_of) if c.residual else None,
        )
        yield from stages.run(phases)

    # -- what the steps share -----------------------------------------------------------------------------------------

    @property
    def projector(self) -> steps.Projector:
        """The projector, which moves the latent code."""
        offsets = LatentOffset(self.generator.mapping, self.config.offset_layers)
        return steps.Projector(self.generator, offsets, self.config.relative, self.config.crop or None)

    @property
    def perceptual(self) -> steps.Perceptual:
        """The perceptual distance of pictures."""
        return perceptual_distance(self.lpips, self.discriminator)

    @property
    def _adam(self) -> OptimizerConfig:
        return OptimizerConfig(lr=self.config.lr, weight_decay=self.config.weight_decay)

    def object_mask(self, picture: Tensor) -> Tensor:
        """Return the mask (1, 1, S, S) of the object in a picture (1, 3, S, S)."""
        return object_mask(self.parser, picture, self.config.category)

    def _ellipsoid(self, picture: Tensor) -> Tensor:
        c = self.config
        return ellipsoid_depth(self.object_mask(picture)[0, 0].cpu(), c.category, c.near, c.far).to(picture)  # type: ignore[arg-type]

    def _training_picture(self, loop: TrainLoop, index: int) -> Tensor:
        return self._picture(select(loop.dataset[index], self.card.trains_on, loop.settings.inputs))

    def _picture(self, given: dict[str, Any]) -> Tensor:
        """Return the photograph (1, 3, S, S) in [-1, 1], at the working size. Raises UserError if it is not square."""
        image = np.asarray(given["image"], np.float32)
        if image.shape[1] != image.shape[2]:
            raise UserError(f"gan2shape requires square pictures, got {image.shape[2]} x {image.shape[1]}; crop it to a square")
        picture = torch.from_numpy(image)[None] * 2 - 1
        return (picture if image.shape[1] == self.config.image_size else resize(picture, self.config.image_size)).to(
            self.device
        )

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Return depth and normals in the picture's own view, the relief as a mesh, and renderings of other views as files."""
        c, picture, projector = self.config, self._picture(given), self.projector
        found = self.model.explain(picture, self.model.canonical(picture))
        notes = {
            "gan": c.gan if c.gan == UNTRAINED else "trained",
            "perceptual": "LPIPS" if self.lpips is not None else "discriminator features",
            "mask": "parsing network" if self.parser is not None else "plain background",
        }
        own = projector.picture(self.latent, c.image_size)
        wall = None
        if c.use_mask and self.parser is None:
            mask = self.object_mask(picture)
            wall = Wall(steps.canonical_mask(self.model, found.canonical, found.views, mask), background_color(picture, mask))
        return Findings(self.model, found, projector, self.latent, own, wall).reconstruction(notes)

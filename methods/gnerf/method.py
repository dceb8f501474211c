"""GNeRF: a radiance field and camera poses of a scene from unposed photographs."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.config.schema import OptimizerConfig
from deep3dmap.core import Asset, Camera, MethodCard, Reconstruction, Step, UserError, Views
from deep3dmap.core.pinhole_camera import cameras_of
from deep3dmap.frameworks import CustomFramework, TrainLoop
from deep3dmap.methods.gnerf import config as configured
from deep3dmap.methods.gnerf.config import GNeRFConfig
from deep3dmap.methods.gnerf.discriminator import PatchDiscriminator
from deep3dmap.methods.gnerf.generator import Generator
from deep3dmap.methods.gnerf.official_weights import KEYS, load_official
from deep3dmap.methods.gnerf.photographs import Photographs, read_photographs
from deep3dmap.methods.gnerf.pose_table import PoseTable, official_start
from deep3dmap.methods.gnerf.pose_vectors import LENGTHS, opencv_pose, vectors_of_poses
from deep3dmap.methods.gnerf.training_step import TrainingStep
from deep3dmap.nn.official_checkpoints import get_state_dict, read_checkpoint
from deep3dmap.nn.radiance.rays import pixel_centres, rays_through
from deep3dmap.render.volume import Rays

TABLE = "table.poses_embed"


class GNeRF(CustomFramework):
    """Estimates coarse poses by adversarial training, then refines them together with the field.

    Phase A trains the field against a patch discriminator at poses sampled from a prior, and an inversion network that predicts
    poses from images. Phase ABAB adds a photometric loss at the estimated poses. Phase B uses the photometric loss only.
    """

    card = MethodCard(
        title="GNeRF",
        authors="Q. Meng, A. Chen, H. Luo, M. Wu, H. Su, L. Xu, X. He, J. Yu",
        year=2021,
        paper="GNeRF: GAN-based Neural Radiance Field without Posed Camera, ICCV 2021",
        tasks=("object_unposed",),
        consumes=("images", "intrinsics"),
        produces=("cameras", "images", "views"),
        licence="MIT",
        tried_on=("objects",),
        frame="world",
        gauge="similarity",
        assets=(
            Asset(
                "a fit of the official code",
                "weights",
                "depends on the file",
                "networks and poses of one scene",
                "quan-meng/gnerf",
            ),
        ),
    )
    config_type = GNeRFConfig
    config: GNeRFConfig

    def __init__(self, config: GNeRFConfig) -> None:
        super().__init__(config)
        self.generator = Generator(configured.generator_config(config))
        self.discriminator = PatchDiscriminator(config.patch, config.discriminator_width)
        self.inversion = configured.inversion_network(config)
        self.prior = configured.pose_prior(config)
        self.table = self._table(0)
        if config.weights:
            self._load_official_weights(Path(config.weights).expanduser())

    def fit_steps(self, given: dict[str, Any], loop: TrainLoop) -> Iterator[Step]:
        """Run the three phases on one scene."""
        photographs = read_photographs(given, loop.device)
        image_plane = photographs.image_plane
        schedules = configured.schedules(self.config, image_plane.width, image_plane.height)
        loop.planned_steps = self.config.steps
        if loop.step == 0:
            self._initialise_poses(len(photographs.images))
        self._optimisers(loop, schedules.network_factor, schedules.pose_factor)
        networks = self.generator, self.discriminator, self.inversion, self.table
        step = TrainingStep(*networks, photographs, self.prior, schedules, configured.weights(self.config), self.config.batch)
        torch.nn.Module.train(self, True)
        while loop.step < self.config.steps:
            terms = step.run(loop)
            yield Step(torch.stack(list(terms.values())).sum(), terms)

    def _optimisers(self, loop: TrainLoop, network_factor: Any, pose_factor: Any) -> None:
        for module in (self.generator, self.discriminator, self.inversion, self.table):
            loop.prepare(module)
        loop.optimizer("generator", self.generator.parameters(), schedule=network_factor)
        groups = [{"params": self.discriminator.parameters(), "rate": self.config.discriminator_rate}]
        loop.optimizer("discriminator", groups, schedule=network_factor)
        for name, module, lr in (
            ("inversion", self.inversion, self.config.inversion_lr),
            ("poses", self.table, self.config.pose_lr),
        ):
            loop.optimizer(name, module.parameters(), OptimizerConfig("adam", lr, [0.9, 0.99]), pose_factor)

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Return the cameras of the photographs in an arbitrary frame, and renderings from the first few of them."""
        photographs = read_photographs(given, self.device)
        fitted = len(self.table.poses_embed)
        if fitted != len(photographs.images):
            raise UserError(f"gnerf was fitted to {fitted} images but got {len(photographs.images)}; fit it to these images")
        cameras = self._cameras(given, photographs)
        shown = self.render(cameras[: self.config.shown]).images
        return Reconstruction("world", "metre", cameras=cameras, images=shown, gauge="similarity")

    def render(self, cameras: Sequence[Camera]) -> Views:
        """Render the field from cameras in the frame of the reconstruction; depth is along the optical axis."""
        views = [self._view(camera) for camera in cameras]
        return Views(np.stack([image for image, _ in views]), np.stack([depth for _, depth in views]))

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Restore the weights, resizing the pose table to the number of photographs in `state`."""
        if TABLE in state and len(state[TABLE]) != len(self.table.poses_embed):
            self.table = self._table(len(state[TABLE])).to(self.device)
        return super().load_state_dict(state, strict, assign)

    def _load_official_weights(self, file: Path) -> None:
        """Load networks and poses from a checkpoint of the official code."""
        checkpoint = read_checkpoint(file)
        poses = get_state_dict(checkpoint, KEYS["training poses"], file).get("poses_embed")
        self.table = self._table(len(poses) if poses is not None else 0)
        networks = (self.generator, self.discriminator, self.inversion, self.table)
        load_official(checkpoint, dict(zip(KEYS, networks)), file)

    def _initialise_poses(self, images: int) -> None:
        """Initialise the pose of each photograph. Raises UserError if given weights have a different number of poses."""
        if self.config.weights:
            if len(self.table.poses_embed) != images:
                count = len(self.table.poses_embed)
                raise UserError(f"method.weights: {self.config.weights} has poses of {count} images, but {images} are given")
            return
        self.table = self._table(images)
        official = self.config.start == "official"
        self.table.poses_embed.data.copy_(official_start(images, self.config.mode) if official else self._sample_poses(images))

    def _table(self, images: int) -> PoseTable:
        return PoseTable(torch.zeros(images, LENGTHS[self.config.mode]), self.config.mode)

    def _sample_poses(self, images: int) -> Tensor:
        """Sample poses from the prior, because the official start straight above the scene has no defined rotation."""
        random = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        return vectors_of_poses(self.prior.sample(images, random), self.config.mode)

    def _cameras(self, given: dict[str, Any], photographs: Photographs) -> list[Camera]:
        poses = opencv_pose(self.table()).detach().double().cpu()
        whole = torch.eye(4, dtype=torch.float64).repeat(len(poses), 1, 1)
        whole[:, :3] = poses
        return cameras_of(given["intrinsics"], whole, photographs.image_plane.height, photographs.image_plane.width)

    def _view(self, camera: Camera) -> tuple[Any, Any]:
        pose = torch.from_numpy(camera.world_from_camera).float().to(self.device)
        pixels = pixel_centres(camera.height, camera.width, self.device)
        rays = rays_through(pixels, torch.from_numpy(camera.intrinsics), pose)
        fine = self.generator.render(Rays(rays.origins.contiguous(), rays.directions)).fine
        forward = (rays.directions * pose[:3, 2]).sum(-1)
        # Depth is 0 where opacity is low, as everywhere in the package.
        depth = torch.where(fine.opacity > 0.5, fine.depth / fine.opacity.clamp(min=1e-6) * forward, 0.0)
        size = camera.height, camera.width
        image = fine.color.clamp(0, 1).T.unflatten(1, size)
        return image.cpu().numpy(), depth.unflatten(0, size).cpu().numpy()

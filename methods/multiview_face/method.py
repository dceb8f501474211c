"""Heads and bodies from a few calibrated photographs: a feed-forward encoder and a fit by differentiable rendering."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deep3dmap.core import Asset, Camera, Mesh, MethodCard, Reconstruction, Step, UserError
from deep3dmap.core.options import option
from deep3dmap.frameworks import BaseFramework, TrainLoop
from deep3dmap.geometry.cameras import scale_intrinsics
from deep3dmap.methods.multiview_face import losses
from deep3dmap.methods.multiview_face.encoder import EncoderConfig, Encoding, MultiViewEncoder
from deep3dmap.methods.multiview_face.fit_parameters import FitParameters, Start
from deep3dmap.methods.multiview_face.fitting import Evidence, fit, stages_for
from deep3dmap.methods.multiview_face.rigid_pose import Cameras, RigidPose, fuse_poses
from deep3dmap.methods.multiview_face.schedules import schedule
from deep3dmap.methods.multiview_face.templates import BUILT_IN, load_template
from deep3dmap.methods.multiview_face.visual_start import start_from_masks
from deep3dmap.metrics.silhouette import COVERAGE_THRESHOLD
from deep3dmap.render.renderer import View
from deep3dmap.render.soft import SoftRenderer

# Groups of the template that are represented here by the rigid pose and the free vertices.
ELSEWHERE = ("global_orient", "translation", "offsets")
LIGHT = "light"


@dataclass
class MultiViewFaceConfig:
    """Options of the template, the encoder and the fit."""

    template: str = option(
        "head",
        "head, body, sphere, a folder with SMPLX_NEUTRAL.npz, or a file: a morphable model (.npz), a mesh (.obj, .ply, .glb)",
    )
    template_grid: int = option(65, "vertices along a side of the procedural head", low=17, high=129, valid="[17, inf)")
    size: float = option(
        1.0, "metres: radius of the sphere, or length of one unit of a mesh file", low=0.01, high=10.0, valid="(0, inf)"
    )
    encoder: bool = option(True, "initialise with the feed-forward encoder; otherwise with the mean shape where the masks meet")
    image_size: int = option(
        96, "longer side of the pictures for training and cropping, in pixels", low=32, high=256, valid="[1, inf)"
    )
    crop_size: int = option(96, "side of the encoder's crop around the subject in pixels", low=32, high=256, valid="[1, inf)")
    width: int = option(32, "channels of the encoder's first layer", low=8, high=64, valid="[1, inf)")
    views: int = option(4, "views sampled from each training subject", low=1, high=16, valid="[1, inf)")
    drop_views: float = option(
        0.3, "probability of dropping a training view, to support any number of views", low=0.0, high=0.8, valid="[0, 1)"
    )
    rendering_from: float = option(
        0.7, "fraction of the budget after which the encoder is also trained with rendering losses", low=0.0, valid="[0, inf)"
    )
    schedule: str = option("head", "stages of the fit, by kind of subject", choices=("head", "body", "object"))
    effort: float = option(
        1.0, "factor of the number of fit steps; 0 returns the encoder's prediction", low=0.0, high=4.0, valid="[0, inf)"
    )
    views_per_step: int = option(2, "views used in each step of the fit", low=1, high=8, valid="[1, inf)")
    gamma: float = option(2.2, "exponent that makes photographs linear in light", low=1.0, high=3.0, valid="(0, inf)")
    seed: int = option(0, "seed of the order of views in a fit", low=0, valid="[0, inf)")


class MultiViewFace(BaseFramework):
    """Multi-view fitting of a template, by regression and by optimisation.

    The encoder processes each view separately, combines them into a shape by a confidence-weighted mean and a maximum, and into
    a pose through the calibrated cameras. The fit then optimises pose, shape, colours, lighting and finally single vertices
    until the soft renderings match the photographs.
    """

    card = MethodCard(
        title="Multi-view mesh fitting",
        authors="the deep3dmap authors, after Liu et al. (SoftRas) and Deng et al. (multi-view 3DMM regression)",
        year=2019,
        paper="S. Liu et al., Soft Rasterizer, ICCV 2019; Y. Deng et al., Accurate 3D Face Reconstruction, CVPRW 2019",
        tasks=("body", "body_single_view"),
        consumes=("images", "masks", "intrinsics", "world_from_camera"),
        produces=("mesh", "cameras"),
        frame="world",
        gauge="metric",
        assets=(
            Asset(
                "template",
                "template",
                "depends on the file",
                "a morphable model or a mesh to fit instead of the procedural head",
                "who made it, such as the Basel Face Model",
                BUILT_IN,
            ),
        ),
        trains_on=("images", "masks", "intrinsics", "world_from_camera", "vertices", "world_from_template"),
        licence="Apache-2.0",
        tried_on=("multiview_heads",),
    )
    config_type = MultiViewFaceConfig
    config: MultiViewFaceConfig
    rendering: Tensor

    def __init__(self, config: MultiViewFaceConfig) -> None:
        super().__init__(config)
        self.template = load_template(config.template, config.template_grid, config.size)
        mean = self.template.mean()
        self.subject_size = float((mean.amax(0) - mean.amin(0)).max())
        groups = {name: size for name, size in self.template.groups.items() if name not in ELSEWHERE}
        self.encoder: MultiViewEncoder | None = None
        if config.encoder:
            self.encoder = MultiViewEncoder(EncoderConfig({**groups, LIGHT: 9}, config.width, config.crop_size))
        self.subject = FitParameters(self.template)
        self.register_buffer("rendering", torch.tensor(False))
        schedule(config.schedule, config.effort)

    @classmethod
    def trains(cls, config: MultiViewFaceConfig) -> bool:
        """Return False for a fit without an encoder, which is not trained."""
        return config.encoder

    def train_steps(self, loop: TrainLoop) -> Iterator[Step]:
        """Train the encoder; without one there is nothing to train."""
        if self.encoder is None:
            return
        for step in super().train_steps(loop):
            if loop.total_steps:
                self.rendering.fill_(loop.step >= self.config.rendering_from * loop.total_steps)
            yield step

    def transform(self, sample: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
        """Select views, drop some of them, and resize the pictures to the encoder's size."""
        count = len(sample["images"])
        chosen = generator.choice(count, self.config.views, replace=count < self.config.views)
        present = generator.random(self.config.views) >= self.config.drop_views
        present[generator.integers(self.config.views)] = True
        seen = {name: np.stack([sample[name][view] for view in chosen]) for name in self.card.consumes}
        kept = {name: np.asarray(sample[name], np.float32) for name in ("vertices", "world_from_template")}
        self._require_template(len(kept["vertices"]))
        return self._resized({**seen, **kept}) | {"present": torch.from_numpy(present)}

    def _require_template(self, vertices: int) -> None:
        """Raise UserError if the dataset's surfaces belong to a different template."""
        own = self.template.mean().shape[0]
        if vertices != own:
            raise UserError(
                f"method.template={self.config.template} has {own} vertices, the dataset's surfaces have {vertices}: use the "
                "variant for this kind of subject (multiview_face/body for bodies) and the dataset's method.template_grid"
            )

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Encode B subjects of V views each: `shape` (B, N, 3) at rest, `pose`, `shared` groups, `light` (B, 9, 3), ..."""
        small = self._resized(inputs, batched=True)
        images, masks = small["images"], small["masks"]
        present = inputs.get("present", torch.ones(images.shape[:2], dtype=torch.bool, device=images.device))
        if self.encoder is None:
            raise UserError("method.encoder=false: there is no encoder to run")
        encoding = self.encoder(images, masks, present)
        cameras = _cameras(small)
        pose = fuse_poses(encoding, cameras, self.subject_size)
        shared = {name: values for name, values in encoding.shared.items() if name != LIGHT}
        light = encoding.shared[LIGHT].clone()
        light[:, 0] = light[:, 0] + 1
        return {
            "shape": self.template.vertices(shared),
            "pose": pose,
            "shared": shared,
            "light": light[..., None].expand(-1, -1, 3),
            "encoding": encoding,
            "cameras": cameras,
            "present": present,
            "small": small,
        }

    def losses(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """Compare shape, pose and single-view predictions with the truth; later also renderings with photographs."""
        truth = losses.true_pose(batch["world_from_template"])
        encoding: Encoding = outputs["encoding"]
        terms = losses.surface_losses(outputs["shape"], outputs["pose"], batch["vertices"].float(), truth, self.subject_size)
        terms |= losses.view_losses(encoding, truth, outputs["cameras"], outputs["present"], self.subject_size)
        terms["prior"] = 1e-4 * self.template.prior(outputs["shared"]).mean()
        if bool(self.rendering):
            vertices = outputs["pose"].apply(outputs["shape"])
            chosen = outputs["present"].int().argmax(1)
            terms |= losses.rendering_losses(
                self.template, outputs["shared"], vertices, outputs["light"], outputs["small"], chosen,
                SoftRenderer(sigma=1e-4, shading="gouraud", faces_per_pixel=4), self.config.gamma,
            )  # fmt: skip
        return terms

    def fit_steps(self, given: dict[str, Any], loop: TrainLoop) -> Iterator[Step]:
        """Fit the template to one subject's views, stage by stage."""
        stages = stages_for(self.subject, schedule(self.config.schedule, self.config.effort))
        loop.planned_steps = sum(stage.steps for stage in stages)
        evidence = self._evidence(given)
        if not self.subject.begun:
            self._begin(self.subject, given, evidence)
        self.set_mode(training=False)
        return fit(self.subject, evidence, stages, self.config.views_per_step, self.config.seed, loop)

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Return the fitted template, or its initial state without a fit; the mesh is in the cameras' world, in metres."""
        subject = self.subject
        if not subject.begun:
            subject = FitParameters(self.template).to(self.device)
            self._begin(subject, given, self._evidence(given))
        with torch.no_grad():
            colors = subject.albedo() ** (1 / self.config.gamma)
            mesh = Mesh(subject.vertices().cpu().numpy(), self.template.faces.cpu().numpy(), colors.cpu().numpy())
        notes = {"start": "encoder" if self.encoder is not None else "masks", "fitted": subject.report()}
        return Reconstruction("world", "metre", mesh=mesh, cameras=_core_cameras(given), notes=notes)

    def _begin(self, subject: FitParameters, given: dict[str, Any], evidence: list[Evidence]) -> None:
        start = self._encoded_start(given) if self.encoder is not None else start_from_masks(evidence, self.template)
        subject.begin(start)

    def _encoded_start(self, given: dict[str, Any]) -> Start:
        training = self.training
        self.set_mode(training=False)
        with torch.no_grad():
            arrays = {
                name: torch.from_numpy(np.stack([np.asarray(one) for one in given[name]]))[None] for name in self.card.consumes
            }
            outputs = self.forward({name: array.float().to(self.device) for name, array in arrays.items()})
        self.set_mode(training)
        pose: RigidPose = outputs["pose"]
        shared = {name: values[0] for name, values in outputs["shared"].items()}
        return Start(pose.rotation[0], pose.translation[0], shared, outputs["light"][0])

    def _evidence(self, given: dict[str, Any]) -> list[Evidence]:
        found = []
        for image, mask, matrix, pose in zip(*(given[name] for name in self.card.consumes), strict=True):
            picture = torch.from_numpy(np.asarray(image, np.float32)).to(self.device)
            cover = torch.from_numpy(np.asarray(mask, np.float32)).to(self.device)
            camera_from_world = torch.linalg.inv(torch.as_tensor(np.asarray(pose, np.float64))).float().to(self.device)
            intrinsics = torch.as_tensor(np.asarray(matrix, np.float64)).float().to(self.device)
            view = View(intrinsics, camera_from_world, *picture.shape[1:])
            found.append(Evidence(picture.clamp(min=1e-4) ** self.config.gamma, cover, view))
        if not found:
            raise UserError("multiview_face needs at least one view")
        if not any(bool((one.mask > COVERAGE_THRESHOLD).any()) for one in found):
            raise UserError("multiview_face: all masks are empty; a mask must be 1 where the subject is")
        return found

    def _resized(self, sample: dict[str, Any], batched: bool = False) -> dict[str, Any]:
        """Return the sample with pictures resized to at most the encoder's longer side, and matching intrinsics."""
        tensors = {name: torch.as_tensor(value) for name, value in sample.items()}
        height, width = tensors["images"].shape[-2:]
        factor = min(1.0, self.config.image_size / max(height, width))
        size = (max(1, round(height * factor)), max(1, round(width * factor)))
        if size != (height, width):
            images, masks = tensors["images"], tensors["masks"]
            small = functional.interpolate(images.float().flatten(0, -4), size, mode="area")
            tensors["images"] = small.unflatten(0, images.shape[:-3])
            tensors["masks"] = functional.interpolate(masks.float().flatten(0, -3)[:, None], size, mode="area")[:, 0].unflatten(
                0, masks.shape[:-2]
            )
            scale = scale_intrinsics(torch.eye(3), size[1] / width, size[0] / height).to(tensors["intrinsics"])
            tensors["intrinsics"] = scale @ tensors["intrinsics"]
        return {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}


def _cameras(batch: dict[str, Any]) -> Cameras:
    height, width = batch["images"].shape[-2:]
    return Cameras(batch["intrinsics"].float(), batch["world_from_camera"].float(), height, width)


def _core_cameras(given: dict[str, Any]) -> list[Camera]:
    return [
        Camera(np.asarray(intrinsics, np.float64), np.asarray(pose, np.float64), np.shape(image)[2], np.shape(image)[1])
        for image, intrinsics, pose in zip(given["images"], given["intrinsics"], given["world_from_camera"])
    ]

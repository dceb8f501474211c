"""The encoder's losses: first supervised pose and shape, later the rendering of its own photographs."""

from collections.abc import Mapping

import torch
from torch import Tensor

from deep3dmap.geometry.image_losses import photometric_loss, silhouette_iou_loss
from deep3dmap.geometry.template import Template
from deep3dmap.methods.multiview_face.encoder import Encoding
from deep3dmap.methods.multiview_face.rigid_pose import Cameras, RigidPose
from deep3dmap.render.renderer import Lights, Surface, View
from deep3dmap.render.soft import SoftRenderer


def true_pose(world_from_template: Tensor) -> RigidPose:
    """Split a rigid motion (B, 4, 4) into rotation and translation."""
    return RigidPose(world_from_template[:, :3, :3].float(), world_from_template[:, :3, 3].float())


def surface_losses(shape: Tensor, pose: RigidPose, truth: Tensor, truth_pose: RigidPose, size: float) -> dict[str, Tensor]:
    """Compare shapes at rest, and the true shape at the predicted pose with the true surface: (B, N, 3) metres.

    Mean distances, in tenths of the subject's size for the pose and in fortieths for the shape, which varies less.
    """
    unit = size / 10
    true_rest = (truth - truth_pose.translation[:, None]) @ truth_pose.rotation
    return {
        "shape": 4 * (shape - true_rest).norm(dim=-1).mean() / unit,
        "place": (pose.apply(true_rest) - truth).norm(dim=-1).mean() / unit,
    }


def view_losses(encoding: Encoding, truth_pose: RigidPose, cameras: Cameras, present: Tensor, size: float) -> dict[str, Tensor]:
    """Compare the predictions of each single view with the truth: rotation (Frobenius), centre in image sides, log size."""
    camera_from_world = torch.linalg.inv(cameras.world_from_camera)
    rotation = camera_from_world[..., :3, :3] @ truth_pose.rotation[:, None]
    moved = (camera_from_world[..., :3, :3] @ truth_pose.translation[:, None, :, None])[..., 0] + camera_from_world[..., :3, 3]
    pixels = (cameras.intrinsics @ moved[..., None])[..., 0]
    side = max(cameras.height, cameras.width)
    middle = pixels.new_tensor([cameras.width / 2, cameras.height / 2])
    centre = (pixels[..., :2] / pixels[..., 2:] - middle) / side
    log_size = (cameras.intrinsics[..., 0, 0] * size / (moved[..., 2] * side)).log()
    share = present / present.sum()
    return {
        "rotation": ((encoding.rotation - rotation).flatten(2).norm(dim=-1) * share).sum(),
        "centre": 5 * ((encoding.centre - centre).norm(dim=-1) * share).sum(),
        "size": ((encoding.log_size - log_size).abs() * share).sum(),
    }


def rendering_losses(
    template: Template, shared: Mapping[str, Tensor], vertices: Tensor, light: Tensor, batch: Mapping[str, Tensor],
    chosen: Tensor, renderer: SoftRenderer, gamma: float,
) -> dict[str, Tensor]:  # fmt: skip
    """Render every subject in one of its views, chosen (B,), and compare with the photograph and the mask.

    vertices: (B, N, 3) world. light: (B, 9, 3). The photographs are linearised with `gamma` first.
    """
    albedo = template.albedo({name: values for name, values in shared.items() if name in template.groups})
    images, masks = batch["images"], batch["masks"]
    photometric, silhouette = [], []
    for item, view in enumerate(chosen.tolist()):
        camera_from_world = torch.linalg.inv(batch["world_from_camera"][item, view].double()).float()
        camera = View(batch["intrinsics"][item, view].float(), camera_from_world, *masks.shape[-2:])
        colors = torch.full_like(vertices[item], 0.6) if albedo is None else albedo[item]
        drawn = renderer.render(
            Surface(vertices[item], template.faces, colors), camera, Lights(harmonics=light[item]), (0.0, 0.0, 0.0)
        )
        mask = masks[item, view]
        silhouette.append(silhouette_iou_loss(drawn.silhouette, mask))
        if albedo is not None:
            assert drawn.face_id is not None
            covered = mask * (drawn.face_id >= 0)
            photometric.append(photometric_loss(drawn.image, images[item, view].clamp(min=1e-4) ** gamma, covered))
    terms = {"silhouette": torch.stack(silhouette).mean()}
    return terms | ({"photometric": 2 * torch.stack(photometric).mean()} if photometric else {})

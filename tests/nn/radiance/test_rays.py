import numpy as np
import torch

from deep3dmap.geometry.cameras import look_at, project
from deep3dmap.nn.radiance.patches import crop_patches, patch_pixels, random_patches
from deep3dmap.nn.radiance.rays import axial_depth, camera_image_rays, pixel_centres, rays_through

INTRINSICS = np.array([[50.0, 0, 16], [0, 60, 12], [0, 0, 1]])
POSE = look_at((1.0, 2, 3), (0.2, -0.3, 0.1))


def test_points_on_a_ray_project_to_its_pixel() -> None:
    rays = camera_image_rays(24, 32, INTRINSICS, POSE)
    distance = torch.linspace(1, 3, 24 * 32)
    points = rays.origins + distance[:, None] * rays.directions
    pixels, depth = project(points.double(), INTRINSICS, torch.linalg.inv(POSE))
    torch.testing.assert_close(pixels.float(), pixel_centres(24, 32), atol=1e-3, rtol=0)
    torch.testing.assert_close(axial_depth(distance, rays.directions, POSE), depth.float(), atol=1e-4, rtol=0)
    torch.testing.assert_close(rays.directions.norm(dim=1), torch.ones(24 * 32))


def test_pixels_come_row_by_row() -> None:
    assert pixel_centres(2, 3).tolist() == [[0.5, 0.5], [1.5, 0.5], [2.5, 0.5], [0.5, 1.5], [1.5, 1.5], [2.5, 1.5]]


def test_each_pixel_may_have_its_own_camera_and_gradients_reach_the_pose() -> None:
    pixels = pixel_centres(24, 32)[:7].double()
    poses = POSE.expand(7, 4, 4).clone().requires_grad_()
    single, many = rays_through(pixels, INTRINSICS, POSE), rays_through(pixels, np.repeat(INTRINSICS[None], 7, 0), poses)
    torch.testing.assert_close(single.directions, many.directions)
    assert torch.autograd.gradcheck(lambda pose: rays_through(pixels, INTRINSICS, pose), poses[:1].detach().requires_grad_())


def test_a_patch_crops_the_pixels_it_names() -> None:
    generator = torch.Generator().manual_seed(0)
    ramp = torch.stack(torch.meshgrid(torch.arange(20.0) + 0.5, torch.arange(30.0) + 0.5, indexing="ij"))[None].flip(1)
    patches = random_patches(5, 8, 0.3, generator)
    assert ((patches.scale >= 0.3) & (patches.scale <= 1)).all()
    assert patches.coordinates.abs().max() <= 1 + 1e-6
    cropped = crop_patches(ramp.expand(5, -1, -1, -1), patches.coordinates)
    torch.testing.assert_close(cropped.permute(0, 2, 3, 1), patch_pixels(patches.coordinates, 20, 30), atol=1e-4, rtol=0)
    extent = patches.coordinates[:, -1, -1] - patches.coordinates[:, 0, 0]
    torch.testing.assert_close(extent, 2 * patches.scale[:, None].expand(5, 2))


def test_rays_keep_their_precision_where_a_run_rounds_products() -> None:
    pixels = pixel_centres(5, 7)
    intrinsics = torch.tensor([[50.0, 0, 3.5], [0, 50, 2.5], [0, 0, 1]])
    pose = torch.eye(4)
    pose[:3, :3] = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    exact = rays_through(pixels, intrinsics, pose)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = rays_through(pixels, intrinsics, pose)
    assert torch.equal(exact.directions, rounded.directions)

"""The photo-geometric renderer against GAN2Shape's: reliefs, normals, views, pictures and gradients to the depth."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.geometry.relief import ReliefCamera, relief_faces, rigid_motion
from deep3dmap.render.photo_geometric import PhotoGeometricRenderer, look_up, texture_cubes

Load = Callable[[str], Any]
Error = Callable[[Tensor, np.ndarray], float]
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def part(load_part: Load) -> Any:
    return load_part("gan2shape/renderer64")


@pytest.fixture(scope="module")
def renderer(part: Any) -> PhotoGeometricRenderer:
    settings = part.manifest["settings"]
    camera = ReliefCamera(settings["image_size"], settings["fov"], settings["rot_center_depth"])
    return PhotoGeometricRenderer(camera, settings["min_depth"], settings["max_depth"])


def almost_all_close(ours: Tensor, reference: Tensor, scale: float = 1.0) -> None:
    assert float(((ours - reference).abs() <= 1e-3 * scale).float().mean()) >= 0.99


def test_camera_and_views(part: Any, renderer: PhotoGeometricRenderer, relative_error: Error) -> None:
    camera, depth, views = renderer.camera, part.tensor("depth"), part.tensor("view")
    rotation, shift = rigid_motion(views)
    points = camera.lift(depth)
    turned = camera.turn(points, views)
    ours = {
        "K": camera.intrinsics(depth)[None],
        "rot_mat": rotation,
        "trans_xyz": shift[:, None],
        "grid_3d": points,
        "grid_2d_roundtrip": camera.to_grid(points),
        "warped_grid_3d": turned,
        "warped_grid_2d": camera.to_grid(turned),
    }
    for name, value in ours.items():
        assert relative_error(value, part.arrays[name]) < TOLERANCE, name
    torch.testing.assert_close(camera.turn_back(turned, views), points, atol=1e-5, rtol=0)


def test_normals_and_their_gradient(part: Any, renderer: PhotoGeometricRenderer, relative_error: Error) -> None:
    depth = part.tensor("depth").clone().requires_grad_()
    normals = renderer.camera.normals(depth)
    assert relative_error(normals, part.arrays["normal"]) < TOLERANCE
    (gradient,) = torch.autograd.grad((normals * part.tensor("cot_normal")).sum(), depth)
    assert relative_error(gradient, part.arrays["grad_depth_of_normal"]) < TOLERANCE


def test_depth_of_a_view(part: Any, renderer: PhotoGeometricRenderer) -> None:
    depth, views = part.tensor("depth").clone().requires_grad_(), part.tensor("view")
    seen = renderer.view_depth(depth, views)
    stable = part.tensor("stable_depth") == 1
    assert float(stable.float().mean()) > 0.9
    torch.testing.assert_close(seen[stable], part.tensor("warped_depth")[stable], atol=TOLERANCE, rtol=0)
    grid = renderer.canonical_grid(seen, views)
    almost_all_close(grid[stable], part.tensor("inv_warped_grid_2d")[stable])
    (gradient,) = torch.autograd.grad((seen * part.tensor("cot_depth")).sum(), depth)
    expected = part.tensor("grad_depth_of_warped_depth")
    almost_all_close(gradient, expected, float(expected.abs().max()))


def test_pictures_of_a_view(part: Any, renderer: PhotoGeometricRenderer) -> None:
    depth, views, image = part.tensor("depth").clone().requires_grad_(), part.tensor("view"), part.tensor("im")
    relief = renderer.render(image, depth, views)
    shown = relief.image.clamp(-1, 1)
    almost_all_close(shown, part.tensor("recon_im"))
    assert float((relief.valid == part.tensor("valid")).float().mean()) >= 0.99
    (gradient,) = torch.autograd.grad((shown * relief.valid * part.tensor("cot_im")).sum(), depth)
    expected = part.tensor("grad_depth_of_recon_im")
    almost_all_close(gradient, expected, float(expected.abs().max()))
    almost_all_close(relief.image, part.tensor("given_view_grid_sample"))
    mask = look_up(part.tensor("mask"), relief.grid, mode="nearest")
    assert float((mask == part.tensor("given_view_mask_nearest")).float().mean()) > 0.99


def test_meshes(part: Any, renderer: PhotoGeometricRenderer) -> None:
    faces = relief_faces(4, 5)
    assert torch.equal(faces, part.tensor("faces_4x5").long())
    torch.testing.assert_close(texture_cubes(part.tensor("im")[0, :, :4, :5], faces), part.tensor("texture_cubes_4x5")[0])
    drawn = renderer.draw_mesh(part.tensor("im"), part.tensor("depth"), part.tensor("view"))
    stable = part.tensor("stable_mesh") == 1
    expected = part.tensor("given_view_mesh")
    assert float((drawn - expected).abs().amax(1)[stable].max()) < TOLERANCE
    yaw = torch.zeros(3, 6)
    yaw[:, 1] = torch.deg2rad(torch.tensor([-45.0, 0, 45]))
    turned = renderer.draw_mesh(part.tensor("im")[:1].expand(3, -1, -1, -1), part.tensor("depth")[:1].expand(3, -1, -1), yaw)
    almost_all_close(turned, part.tensor("yaw_mesh_m45_0_45"))

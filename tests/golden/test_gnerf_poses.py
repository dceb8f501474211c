"""GNeRF's poses, prior, rays, patches and schedules against the official functions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.geometry.cameras import scale_intrinsics
from deep3dmap.methods.gnerf.generator import Generator, GeneratorConfig
from deep3dmap.methods.gnerf.pose_prior import PosePrior
from deep3dmap.methods.gnerf.pose_table import PoseTable, official_start
from deep3dmap.methods.gnerf.pose_vectors import look_at, look_at_poses, poses_of_vectors, rotation_of_rows, vectors_of_poses
from deep3dmap.methods.gnerf.schedules import Schedules
from deep3dmap.nn.radiance.patches import crop_patches, image_grid, place_patches

Error = Callable[[Tensor, np.ndarray], float]
Load = Callable[[str], Any]
PHASES = {"A": 0, "ABAB": 1, "B": 2}
SIZES = {0: (400, 400), 1: (500, 400)}


def test_look_at_and_rotations_of_six_numbers(load_part: Load, relative_error: Error) -> None:
    part = load_part("gnerf/pose_repr")
    cases = (("t", look_at, "look_at_R", "look_at_grad_t"), ("d6", rotation_of_rows, "r6d2mat", "r6d2mat_grad"))
    for given, function, name, gradient_name in cases:
        values = part.tensor(given).clone().requires_grad_()
        rotation = function(values)
        assert relative_error(rotation, part.arrays[name]) < 1e-5
        (gradient,) = torch.autograd.grad((rotation * part.tensor("grad_out_R")).sum(), values)
        assert relative_error(gradient, part.arrays[gradient_name]) < 1e-4


def test_vectors_of_poses(load_part: Load, relative_error: Error) -> None:
    part = load_part("gnerf/pose_repr")
    poses = part.tensor("pose34")
    assert relative_error(vectors_of_poses(poses, "6d"), part.arrays["d9"]) < 1e-5
    assert relative_error(poses_of_vectors(part.tensor("d9"), "6d"), part.arrays["pose34"]) < 1e-5
    assert relative_error(vectors_of_poses(poses, "3d"), part.arrays["pose34"][..., 3]) < 1e-5


@pytest.mark.parametrize("mode", ["3d", "6d"])
def test_the_official_start_of_a_table(load_part: Load, relative_error: Error, mode: Any) -> None:
    part = load_part("gnerf/pose_repr")
    table = PoseTable(official_start(len(part.arrays[f"init_embed_{mode}"]), mode), mode)
    assert relative_error(table.vectors(), part.arrays[f"init_embed_{mode}"]) < 1e-5
    assert relative_error(table(), part.arrays[f"init_poses_{mode}"]) < 1e-5


def test_poses_of_the_prior(load_part: Load, relative_error: Error) -> None:
    part = load_part("gnerf/pose_sampling")
    for name in ("blender", "dtu"):
        settings = part.manifest["settings"][name]
        ranges = (tuple(settings[key]) for key in ("azim_range", "elev_range", "radius"))
        prior = PosePrior(*ranges, spread=0.0 if settings["look_at_origin"] else 0.01)
        assert relative_error(prior.poses(part.tensor("uniforms"), part.tensor("normals")), part.arrays[f"poses_{name}"]) < 1e-5


def test_rays(load_part: Load, relative_error: Error) -> None:
    part = load_part("gnerf/rays")
    settings = part.manifest["settings"]
    width, height = settings["img_wh"]
    intrinsics = scale_intrinsics(part.tensor("K0"), *settings["intrinsic_scale"])
    assert relative_error(intrinsics, part.arrays["K_scaled"]) < 1e-5
    assert relative_error(look_at_poses(part.tensor("cam_pos")), part.arrays["poses"]) < 1e-5
    # There the first pixel's centre is 0, here it is one half.
    intrinsics[:2, 2] += 0.5
    generator = Generator(GeneratorConfig(width=8, depth=2, skips=()))
    rays = generator.rays(part.tensor("coords"), part.tensor("poses"), intrinsics, (height, width))
    assert relative_error(rays.origins, part.arrays["rays"][..., :3].reshape(-1, 3)) < 1e-5
    assert relative_error(rays.directions, part.arrays["rays"][..., 3:6].reshape(-1, 3)) < 1e-5


def test_patches(load_part: Load, relative_error: Error) -> None:
    part = load_part("gnerf/patch_sampler")
    settings = part.manifest["settings"]
    images, side = part.tensor("images"), settings["patch_size"]
    units = torch.cat([part.tensor(name)[:, :, 0, 0] for name in ("u_scale", "u_x", "u_y")], 1)
    schedules = Schedules(patch=side, anneal=settings["scale_anneal"])
    longest = round(side / settings["min_scale"])
    least = schedules.min_scale(settings["iterations"], longest, longest)
    patches = place_patches(units, side, least)
    assert relative_error(patches.coordinates, part.arrays["coords"]) < 1e-5
    assert relative_error(patches.scale.view(-1, 1, 1, 1), part.arrays["scales"]) < 1e-5
    assert relative_error(crop_patches(images, patches.coordinates), part.arrays["patches"]) < 1e-5
    whole = image_grid(side, side)[None]
    assert relative_error(whole, part.arrays["static_coords"]) < 1e-5
    assert relative_error(crop_patches(images, whole.expand(len(images), -1, -1, -1)), part.arrays["static_patches"]) < 1e-5
    assert relative_error(image_grid(5, 7)[None], part.arrays["full_coords_w7_h5"]) < 1e-5
    for iteration, smallest, largest in part.arrays["min_scale_table"]:
        assert schedules.min_scale(int(iteration), longest, longest) == pytest.approx(smallest, abs=1e-6)
        assert largest == 1


def test_schedules(load_part: Load) -> None:
    part = load_part("gnerf/schedules")
    settings = part.manifest["settings"]
    schedules = Schedules(settings["begin_refine"], settings["progressive_end"], patch=settings["patch_size"])
    for row in part.arrays["table"]:
        dataset, iteration = int(row[0]), int(row[1])
        assert PHASES[schedules.phase(iteration)] == row[2]
        assert schedules.image_size(iteration, *SIZES[dataset]) == (row[3], row[4])
        network, pose = schedules.network_factor(iteration), schedules.pose_factor(iteration)
        ours = [schedules.noise(iteration), 5e-4 * network, 1e-4 * network, 1e-4 * pose, 5e-3 * pose]
        np.testing.assert_allclose(ours, row[5:], rtol=1e-9)

"""Key frames, fragments, targets and fusion against the official data preparation."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from deep3dmap.geometry.scene_tsdf import SceneTSDF
from deep3dmap.geometry.tsdf_volume import TSDFVolume
from deep3dmap.methods.neuralrecon.fragment_stream import random_world
from deep3dmap.methods.neuralrecon.fragments import FragmentConfig, Views, make_fragment
from deep3dmap.methods.neuralrecon.keyframes import select_fragments
from deep3dmap.methods.neuralrecon.targets import fragment_targets

from .conftest import Part

Load = Callable[[str], Part]


def half_pixel_centred(intrinsics: torch.Tensor) -> torch.Tensor:
    matrix = intrinsics.double().clone()
    matrix[:2, 2] += 0.5
    return matrix


def test_keyframes(load_part: Load) -> None:
    part = load_part("neuralrecon/keyframes")
    s = part.manifest["settings"]
    found = select_fragments(part.arrays["poses"], s["window_size"], s["min_angle_deg"], s["min_distance_m"])
    np.testing.assert_array_equal(part.arrays["frame_ids"][np.array(found)], part.arrays["fragments"])


@pytest.mark.parametrize("case", ["plain", "aug"])
def test_fragment(case: str, load_part: Load) -> None:
    part = load_part("neuralrecon/fragment_data")
    s = part.manifest["settings"]
    n_vox = tuple(s["N_VOX"])
    depths = part.tensor("depth")
    count, height, width = depths.shape
    intrinsics = half_pixel_centred(part.tensor("intrinsics")).expand(count, 3, 3).clone()
    scene = SceneTSDF([part.tensor(f"full_tsdf_l{i}") for i in range(3)], part.tensor("full_origin").double(), s["VOXEL_SIZE"])
    world = np.eye(4)
    if case == "aug":
        world = random_world(scene, float(part.arrays["rot_unit"][0]), part.arrays["trans_unit"].astype(np.float64))
    poses = torch.from_numpy(world) @ part.tensor("poses").double()
    torch.testing.assert_close(poses.float(), part.tensor(f"{case}_extrinsics"), atol=1e-5, rtol=1e-5)

    views = Views(torch.zeros(count, 3, height, width), intrinsics, poses)
    config = FragmentConfig(n_vox, s["VOXEL_SIZE"], image_size=(width, height), max_depth=s["max_depth"], views=s["n_views"])
    fragment = make_fragment(views, "scene", config)
    for ours, theirs in (
        ("vol_origin_partial", "vol_origin_partial"),
        ("world_to_aligned_camera", "world_to_aligned_camera"),
        ("projection", "proj_matrices"),
    ):
        torch.testing.assert_close(fragment[ours], part.tensor(f"{case}_{theirs}"), atol=1e-4, rtol=1e-4)
    targets = fragment_targets(
        scene,
        list(depths),
        intrinsics,
        poses,
        fragment["vol_origin_partial"],
        n_vox,
        s["max_depth"],
        np.linalg.inv(world),
        "upstream",
    )
    for level in range(3):
        error = (targets["tsdf"][level] - part.tensor(f"{case}_tsdf_l{level}")).abs()
        assert float((error > 1e-4).float().mean()) < 0.002
        other = targets["occupancy"][level] != part.tensor(f"{case}_occ_l{level}")
        assert float(other.float().mean()) < 0.002


def test_integration(load_part: Load) -> None:
    part = load_part("neuralrecon/tsdf_integrate")
    s = part.manifest["settings"]
    size, voxel = tuple(s["voxel_dim"]), s["voxel_size"]
    volume = TSDFVolume(part.tensor("origin"), size, voxel, s["margin"] * voxel, colors=False)
    for depth, pose in zip(part.tensor("depth"), part.tensor("poses")):
        volume.integrate(depth, half_pixel_centred(part.tensor("intrinsics")), pose)
    for name, ours in (("tsdf", volume.tsdf), ("weight", volume.weight)):
        assert float(((ours - part.tensor(name)).abs() > 1e-4).float().mean()) < 0.001

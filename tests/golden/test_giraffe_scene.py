"""GIRAFFE's cameras, boxes, composition and sampling against the official functions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.methods.giraffe.bounding_boxes import BoxConfig, Boxes, are_apart, boxes_from_units
from deep3dmap.methods.giraffe.camera_sampling import (
    CameraConfig,
    cast_rays,
    inverse_intrinsics,
    jitter_depths,
    look_at_origin,
    on_sphere,
    pixel_grid,
    poses_from_units,
)
from deep3dmap.methods.giraffe.composition import ray_weights, share_by_density, share_to_densest
from deep3dmap.methods.giraffe.latent_codes import interpolate_on_sphere

Error = Callable[[Tensor, np.ndarray], float]
BOXES = {
    "n_boxes": "count",
    "scale_range_min": "scale_low",
    "scale_range_max": "scale_high",
    "translation_range_min": "translation_low",
    "translation_range_max": "translation_high",
    "rotation_range": "rotation",
    "z_level_plane": "plane",
}


def box_config(settings: dict[str, Any]) -> BoxConfig:
    return BoxConfig(**{BOXES[name]: tuple(v) if isinstance(v, list) else v for name, v in settings.items() if name in BOXES})


@pytest.mark.parametrize("name", ["cars", "clevr2", "faces"])
def test_boxes(load_part: Callable[[str], Any], name: str) -> None:
    part = load_part("giraffe/bounding_box")
    config = box_config(part.manifest["settings"][name])
    units = [part.tensor(f"{name}_u_{kind}") for kind in ("scale", "trans", "rot")]
    drawn = boxes_from_units(config, units[0], units[1], units[2].view(units[0].shape[:2]))
    values = [part.tensor(f"{name}_val_{kind}")[None].repeat_interleave(len(part.arrays[f"{name}_get_s"]), 0) for kind in "str"]
    for boxes, prefix in ((drawn, name), (boxes_from_units(config, *values), f"{name}_get")):
        for ours, kind in zip(boxes, "stR"):
            np.testing.assert_allclose(ours.numpy(), part.arrays[f"{prefix}_{kind}"], atol=1e-6)


def test_collisions(load_part: Callable[[str], Any]) -> None:
    part = load_part("giraffe/bounding_box")
    boxes = Boxes(part.tensor("collide_s"), part.tensor("collide_t"), torch.empty(0))
    assert are_apart(boxes).tolist() == part.arrays["collide_is_free"].astype(bool).tolist()


def test_intrinsics_and_sphere(load_part: Callable[[str], Any], relative_error: Error) -> None:
    part = load_part("giraffe/camera")
    for degrees, name in ((10, "fov10"), (30, "fov30"), (49.13, "fov49_13")):
        assert relative_error(inverse_intrinsics(degrees)[None], part.arrays[f"camera_mat_inv_{name}"]) < 1e-5
    u, v = part.tensor("uv").T
    assert relative_error(on_sphere(u, v), part.arrays["to_sphere"]) < 1e-5


def test_look_at(load_part: Callable[[str], Any], relative_error: Error) -> None:
    part = load_part("giraffe/camera")
    eyes = part.tensor("eyes")
    assert relative_error(look_at_origin(eyes), part.arrays["look_at_single"]) < 1e-5
    assert relative_error(look_at_origin(eyes, "batch"), part.arrays["look_at_batch"]) < 1e-5


def test_poses_and_rays(load_part: Callable[[str], Any], relative_error: Error) -> None:
    part = load_part("giraffe/camera")
    cars = CameraConfig(height=(0.41667, 0.5))
    units = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 1.0, 0.0]])
    assert relative_error(poses_from_units(cars, units), part.arrays["poses"][:3]) < 1e-5
    wide = CameraConfig(azimuth=(0.1, 0.4), height=(0.05, 0.5), radius=(2.0, 3.0))
    assert relative_error(poses_from_units(wide, torch.tensor([[0.3, 0.7, 0.25]])), part.arrays["poses"][3:]) < 1e-5
    # The official order runs down the columns.
    columns = pixel_grid(4).transpose(0, 1).reshape(1, 16, 2)
    assert relative_error(columns.repeat(2, 1, 1), part.arrays["pixels"]) < 1e-5
    poses = poses_from_units(cars, units)[1:]
    rays = cast_rays(inverse_intrinsics(10), poses, 4)
    expected = part.arrays["points_world"] - part.arrays["origin_world"]
    assert relative_error(rays.directions.transpose(1, 2).flatten(1, 2), expected) < 1e-5
    assert relative_error(rays.origins[:, None].expand(-1, 16, 3), part.arrays["origin_world"]) < 1e-5


def test_composition_by_density(load_part: Callable[[str], Any], relative_error: Error) -> None:
    part = load_part("giraffe/composition")
    density, features = (part.tensor(name).clone().requires_grad_() for name in ("sigma", "feat"))
    total, shares = share_by_density(density)
    mixed = (shares[..., None] * features).sum(0)
    assert relative_error(total, part.arrays["sum_sigma"]) < 1e-5
    assert relative_error(mixed, part.arrays["sum_feat"]) < 1e-5
    ((total * part.tensor("grad_out_sigma")).sum() + (mixed * part.tensor("grad_out_feat")).sum()).backward()
    assert density.grad is not None
    assert features.grad is not None
    assert relative_error(density.grad, part.arrays["grad_sigma"]) < 1e-5
    assert relative_error(features.grad, part.arrays["grad_feat"]) < 1e-5


def test_composition_by_the_densest_and_of_one(load_part: Callable[[str], Any], relative_error: Error) -> None:
    part = load_part("giraffe/composition")
    density, features = part.tensor("sigma"), part.tensor("feat")
    for found, name in ((share_to_densest(density), "max"), (share_by_density(density[:1]), "single")):
        total, shares = found
        assert relative_error(total, part.arrays[f"{name}_sigma"]) < 1e-5
        assert relative_error((shares[..., None] * features[: len(shares)]).sum(0), part.arrays[f"{name}_feat"]) < 1e-5


def test_ray_weights(load_part: Callable[[str], Any], relative_error: Error) -> None:
    part = load_part("giraffe/composition")
    inputs = part.tensor("sum_sigma"), part.tensor("depths"), part.tensor("ray")
    assert relative_error(ray_weights(*inputs), part.arrays["weights_last1e10"]) < 1e-5
    assert relative_error(ray_weights(*inputs, last_step=0.0), part.arrays["weights_last0"]) < 1e-5


def test_interpolation_and_jitter(load_part: Callable[[str], Any], relative_error: Error) -> None:
    part = load_part("giraffe/sampling_utils")
    ours = interpolate_on_sphere(part.tensor("z1"), part.tensor("z2"), part.tensor("t"))
    assert relative_error(ours, part.arrays["slerp"]) < 1e-5
    assert relative_error(jitter_depths(part.tensor("depths"), part.tensor("uniforms")), part.arrays["jittered"]) < 1e-5

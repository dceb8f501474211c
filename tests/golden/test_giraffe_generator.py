"""GIRAFFE's whole generator against the official one, three datasets' settings."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.methods.giraffe.bounding_boxes import BoxConfig, boxes_from_units, rotation_about_z
from deep3dmap.methods.giraffe.camera_sampling import CameraConfig, inverse_intrinsics, poses_from_units
from deep3dmap.methods.giraffe.feature_field import FieldConfig
from deep3dmap.methods.giraffe.generator import Generator, GeneratorConfig, Scene
from deep3dmap.methods.giraffe.latent_codes import Codes

Error = Callable[[Tensor, np.ndarray], float]
FIELD = {"z_dim": "latent", "hidden_size": "hidden", "n_blocks": "blocks", "skips": "skips", "downscale_p_by": "downscale"}
CODES = ("z_shape", "z_app", "z_shape_bg", "z_app_bg")


def field_config(settings: dict[str, Any]) -> FieldConfig:
    return FieldConfig(**{FIELD[name]: tuple(value) if name == "skips" else value for name, value in settings.items()})


def build(part: Any) -> Generator:
    settings = part.manifest["settings"]
    config = GeneratorConfig(
        object=field_config(settings["dec"]),
        background=field_config(settings["bg"]),
        resolution=settings["resolution_vol"],
        doublings=int(np.log2(settings["nr"]["img_size"] / settings["resolution_vol"])),
        samples=settings["n_ray_samples"],
        near=settings["depth_range"][0],
        far=settings["depth_range"][1],
        field_of_view=settings["gen"].get("fov", 49.13),
    )
    generator = Generator(config)
    generator.load_state_dict(part.state)
    return generator


def scene_of(part: Any, codes: Codes) -> Scene:
    """The scene from the settings and places in the ranges, so that those are checked along the way."""
    settings, count = part.manifest["settings"], len(part.arrays["s"])
    names = ("scale", "translation")
    ranges = {
        f"{name}_{end}": tuple(settings["bb"][f"{name}_range_{low}"])
        for name in names
        for end, low in (("low", "min"), ("high", "max"))
    }
    box = BoxConfig(
        settings["nbox"],
        **ranges,
        rotation=tuple(settings["bb"].get("rotation_range", (0, 1))),
        plane=settings["bb"].get("z_level_plane"),
    )
    boxes = boxes_from_units(box, *(part.tensor(f"val_{kind}")[None].repeat_interleave(count, 0) for kind in "str"))
    camera = CameraConfig(height=tuple(settings["gen"]["range_v"]))
    poses = poses_from_units(camera, torch.tensor([[0.0, settings["val_v"], 0.0]]).repeat(count, 1))
    low, high = settings["gen"].get("backround_rotation_range", (0.0, 0.0))
    turns = torch.full((count,), low + settings["bg_rotation_val"] * (high - low))
    return Scene(codes, boxes, poses, rotation_about_z(turns))


@pytest.mark.parametrize("name", ["cars64", "clevr2_small", "church64"])
def test_generator(load_part: Callable[[str], Any], relative_error: Error, name: str) -> None:
    part = load_part(f"giraffe/generator_{name}")
    generator = build(part)
    codes = Codes(*(part.tensor(key).clone().requires_grad_() for key in CODES))
    scene = scene_of(part, codes)
    assert relative_error(scene.world_from_camera, part.arrays["world_mat"]) < 1e-5
    assert relative_error(scene.background_rotation, part.arrays["bg_R"]) < 1e-5
    assert (
        relative_error(
            inverse_intrinsics(generator.config.field_of_view)[None].expand(len(scene.world_from_camera), 4, 4),
            part.arrays["camera_mat"],
        )
        < 1e-5
    )
    rendering = generator(scene)
    assert relative_error(rendering.features[:, :32], part.arrays["feat_map"]) < 1e-3
    compare_images(rendering.image, part.arrays["image"])
    (rendering.image * part.tensor("grad_out")).sum().backward()
    for code, key in zip(codes, CODES):
        assert code.grad is not None
        # The reference's own rounding is larger here than for the picture: densities enter a ReLU, positions 2^9 pi x.
        reference = part.tensor(f"grad_{key}")
        assert torch.cosine_similarity(code.grad.flatten(), reference.flatten(), 0) > 0.998
        assert relative_error(code.grad, reference.numpy()) < 0.1


@pytest.mark.parametrize("name", ["cars64", "clevr2_small", "church64"])
def test_parts_of_the_scene(load_part: Callable[[str], Any], relative_error: Error, name: str) -> None:
    part = load_part(f"giraffe/generator_{name}")
    generator, scene = build(part), scene_of(part, Codes(*(part.tensor(key) for key in CODES)))
    with torch.no_grad():
        compare_images(generator(scene, parts="background").image, part.arrays["image_background_only"])
        assert relative_error(generator.opacity(scene), part.arrays["alpha_map"]) < 1e-3


def compare_images(ours: Tensor, reference: np.ndarray) -> None:
    error = np.abs(ours.detach().numpy() - reference)
    assert error.max() < 2e-3
    assert error.mean() < 1e-4

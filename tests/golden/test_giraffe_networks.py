"""GIRAFFE's fields, neural renderer and discriminators against the official networks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deep3dmap.frameworks.gradients import gradient_penalty
from deep3dmap.methods.giraffe.discriminators import DCDiscriminator, ResNetDiscriminator
from deep3dmap.methods.giraffe.feature_field import FeatureField, FieldConfig
from deep3dmap.methods.giraffe.neural_renderer import NeuralRenderer

Error = Callable[[Tensor, np.ndarray], float]
OURS = {
    "z_dim": "latent",
    "hidden_size": "hidden",
    "n_blocks": "blocks",
    "skips": "skips",
    "rgb_out_dim": "features",
    "downscale_p_by": "downscale",
}


def field_config(settings: dict[str, Any]) -> FieldConfig:
    return FieldConfig(**{OURS[name]: tuple(value) if name == "skips" else value for name, value in settings.items()})


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", ["decoder_object", "decoder_object256", "decoder_background", "decoder_clevr"])
def test_feature_field(load_part: Callable[[str], Any], relative_error: Error, name: str) -> None:
    part = load_part(f"giraffe/{name}")
    field = FeatureField(field_config(part.manifest["settings"]))
    field.load_state_dict(part.state)
    assert parameters(field) == part.manifest["n_params"]
    inputs = {key: part.tensor(key).clone().requires_grad_() for key in ("p", "z_shape", "z_app")}
    scenes, points = inputs["p"].shape[:2]
    directions = part.tensor("ray").flatten(0, 1)
    density, features = field(inputs["p"].flatten(0, 1), directions, inputs["z_shape"], inputs["z_app"])
    density, features = density.view(scenes, points), features.view(scenes, points, -1)
    assert relative_error(density, part.arrays["sigma"]) < 1e-4
    assert relative_error(features, part.arrays["feat"]) < 1e-4
    ((density * part.tensor("grad_out_sigma")).sum() + (features * part.tensor("grad_out_feat")).sum()).backward()
    for key, tolerance in (("p", 1e-3), ("z_shape", 1e-4), ("z_app", 1e-4)):
        gradient = inputs[key].grad
        assert gradient is not None
        assert relative_error(gradient, part.arrays[f"grad_{key}"]) < tolerance


@pytest.mark.parametrize("name", ["neural_renderer64", "neural_renderer256", "neural_renderer_clevr256"])
def test_neural_renderer(load_part: Callable[[str], Any], relative_error: Error, name: str) -> None:
    part = load_part(f"giraffe/{name}")
    settings = part.manifest["settings"]
    network = NeuralRenderer(settings.get("n_feat", 128), int(np.log2(settings["img_size"])) - 4)
    network.load_state_dict(part.state)
    assert parameters(network) == part.manifest["n_params"]
    features = part.tensor("x").clone().requires_grad_()
    image = network(features)
    assert relative_error(image, part.arrays["rgb"]) < 1e-4
    (gradient,) = torch.autograd.grad((image * part.tensor("grad_out")).sum(), features)
    assert relative_error(gradient, part.arrays["grad_x"]) < 1e-4


@pytest.mark.parametrize("size", [64, 256])
def test_discriminator(load_part: Callable[[str], Any], relative_error: Error, size: int) -> None:
    part = load_part(f"giraffe/discriminator{size}")
    network = DCDiscriminator(size, part.manifest["settings"]["n_feat"])
    network.load_state_dict(part.state)
    assert parameters(network) == part.manifest["n_params"]
    images = part.tensor("x")
    images = (images / 255 if images.dtype == torch.uint8 else images.clone()).requires_grad_()
    logits = network(images)
    assert relative_error(logits[:, None], part.arrays["logits"]) < 1e-4
    assert relative_error(gradient_penalty(logits, images), part.arrays["r1_per_sample"]) < 1e-4
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    if size == 64:
        assert relative_error(gradient, part.arrays["grad_x_of_sum"]) < 1e-4
    else:
        assert relative_error(gradient[..., ::8, ::8], part.arrays["grad_x_of_sum_sub4"]) < 1e-4


def test_residual_discriminator(load_part: Callable[[str], Any], relative_error: Error) -> None:
    part = load_part("giraffe/discriminator_resnet64")
    settings = part.manifest["settings"]
    network = ResNetDiscriminator(settings["image_size"], settings["nfilter"], settings["nfilter_max"])
    network.load_state_dict(part.state)
    images = part.tensor("x").clone().requires_grad_()
    logits = network(images)
    assert relative_error(logits[:, None], part.arrays["logits"]) < 1e-4
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    assert relative_error(gradient, part.arrays["grad_x_of_sum"]) < 1e-4

"""StyleGAN2's networks and losses against the official code's, under the official names."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.frameworks.gradients import gradient_penalty
from deep3dmap.nn.adversarial_losses import discriminator_loss, generator_loss
from deep3dmap.nn.official_checkpoints import fill
from deep3dmap.nn.stylegan2 import Discriminator, Generator, StyleGAN2Size, mix_styles, truncate
from deep3dmap.nn.stylegan2.losses import path_length_penalty
from deep3dmap.nn.stylegan2.modulated import ModulatedConvolution, StyledLayer, ToRGB
from deep3dmap.nn.stylegan2.names import to_our_names
from deep3dmap.nn.stylegan2.network_files import infer_discriminator_size, infer_generator_size

Load = Callable[[str], Any]
Error = Callable[[Tensor, np.ndarray], float]
TOLERANCE, PENALTY = 1e-4, 1e-3


def size_of(settings: dict[str, Any]) -> StyleGAN2Size:
    return StyleGAN2Size(
        settings["size"], settings.get("style_dim", 512), settings.get("n_mlp", 8), 16384 * settings["channel_multiplier"]
    )


@pytest.fixture(params=["grouped", "shared"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModulatedConvolution, "form", request.param)


def layer_state(part: Any, case: str, names: dict[str, str]) -> dict[str, Tensor]:
    given = {name.removeprefix(f"{case}."): value for name, value in part.state.items() if name.startswith(f"{case}.")}
    state = {ours: given[theirs] for theirs, ours in names.items()}
    return {name: value[0] if value.dim() == 5 else value for name, value in state.items()}


CONVOLUTION = {"weight": "weight", "modulation.weight": "style.weight", "modulation.bias": "style.bias"}
INNER = {f"conv.{theirs}": f"convolution.{ours}" for theirs, ours in CONVOLUTION.items()}


@pytest.mark.usefixtures("form")
def test_modulated_convolution(load_part: Load, relative_error: Error) -> None:
    part = load_part("stylegan2/modulated_conv2d")
    for case in part.manifest["settings"]["cases"]:
        name = case["name"]
        change = "double" if case.get("upsample") else "halve" if case.get("downsample") else "keep"
        sizes = (case["in"], case["out"], case["kernel_size"], case["style_dim"])
        layer = ModulatedConvolution(*sizes, change=change, demodulate=case.get("demodulate", True))
        layer.load_state_dict(layer_state(part, name, CONVOLUTION))
        features, style = (part.tensor(f"{name}/{key}").clone().requires_grad_() for key in ("x", "style"))
        out = layer(features, style)
        assert relative_error(out, part.arrays[f"{name}/y"]) < TOLERANCE, name
        gradients = torch.autograd.grad((out * part.tensor(f"{name}/cot")).sum(), (features, style, layer.weight))
        for gradient, key in zip(gradients, ("grad_x", "grad_style", "grad_weight")):
            expected = part.arrays[f"{name}/{key}"]
            assert relative_error(gradient.reshape(expected.shape), expected) < TOLERANCE, f"{name} {key}"


@pytest.mark.usefixtures("form")
def test_styled_layer_and_picture(load_part: Load, relative_error: Error) -> None:
    part = load_part("stylegan2/modulated_conv2d")
    _, outputs, inputs, *_ = part.state["styled_up.conv.weight"].shape
    style_dim, side = part.state["styled_up.conv.modulation.weight"].shape[1], part.arrays["styled_up/y"].shape[2]
    layer = StyledLayer(inputs, outputs, style_dim, side, "double")
    state = layer_state(part, "styled_up", {**INNER, "noise.weight": "noise_strength", "activate.bias": "bias"})
    layer.load_state_dict({**state, "noise_strength": state["noise_strength"][0], "noise": layer.noise})
    out = layer(*(part.tensor(f"styled_up/{key}") for key in ("x", "style", "noise")))
    assert relative_error(out, part.arrays["styled_up/y"]) < TOLERANCE
    to_rgb = ToRGB(inputs, style_dim)
    state = layer_state(part, "to_rgb", {**INNER, "bias": "bias"})
    to_rgb.load_state_dict({**state, "bias": state["bias"].flatten()})
    image = to_rgb(*(part.tensor(f"to_rgb/{key}") for key in ("x", "style", "skip")))
    assert relative_error(image, part.arrays["to_rgb/y"]) < TOLERANCE


@pytest.fixture(scope="module")
def generator_part(load_part: Load) -> tuple[Any, Generator]:
    part = load_part("stylegan2/generator64")
    state = to_our_names(part.state, "generator")
    size = infer_generator_size(state)
    assert size == size_of(part.manifest["settings"])
    network = Generator(size).eval()
    fill(network, state, "golden")
    return part, network


def noise_of(part: Any) -> list[Tensor]:
    return [part.tensor(f"noise_{index}") for index in range(sum(name.startswith("noise_") for name in part.arrays))]


@pytest.mark.usefixtures("form")
def test_generator(generator_part: tuple[Any, Generator], relative_error: Error) -> None:
    part, network = generator_part
    noise, z, w = noise_of(part), part.tensor("z"), part.tensor("w")
    with torch.no_grad():
        mapped, other = network.mapping(z), network.mapping(part.tensor("z2"))
        truncated = truncate(mapped, part.tensor("truncation_latent"), 0.6)
        mixed = mix_styles(mapped[:1], other[:1], network.size.latents, 4)
        ours = {
            "w": mapped,
            "img_from_z": network(z, noise),
            "img_from_w0_buffer_noise": network.synthesis(w[:1]),
            "img_from_w_plus": network.synthesis(part.tensor("w_plus"), noise),
            "img_mix_inject4": network.synthesis(mixed, noise),
            "img_trunc06": network.synthesis(truncated, noise),
        }
    for name, value in ours.items():
        assert relative_error(value, part.arrays[name]) < TOLERANCE, name
    first = w[:1].clone().requires_grad_()
    image = network.synthesis(first, noise)
    assert relative_error(image, part.arrays["img_from_w0"]) < TOLERANCE
    (gradient,) = torch.autograd.grad((image * part.tensor("cot")).sum(), first)
    assert relative_error(gradient, part.arrays["grad_w0"]) < TOLERANCE


def test_discriminator(load_part: Load, relative_error: Error) -> None:
    part = load_part("stylegan2/discriminator64")
    settings = part.manifest["settings"]
    assert settings["stddev_feat"] == 1
    state = to_our_names(part.state, "discriminator")
    assert infer_discriminator_size(state) == size_of(settings)
    network = Discriminator(size_of(settings), settings["stddev_group"])
    fill(network, state, "golden")
    images = part.tensor("x").clone().requires_grad_()
    logits = network(images)
    assert relative_error(logits, part.arrays["logits"]) < TOLERANCE
    (gradient,) = torch.autograd.grad((logits * part.tensor("cot")).sum(), images)
    assert relative_error(gradient[0], part.arrays["grad_x_sample0"]) < TOLERANCE
    assert relative_error(network(images[:3]), part.arrays["logits_first3"]) < TOLERANCE
    for index, feature in enumerate(network.features(images[:1], 4)):
        expected = part.arrays[f"feature_{index}_sample0"]
        assert relative_error(feature[:, : expected.shape[1]], expected) < TOLERANCE


@pytest.fixture(scope="module")
def training_part(load_part: Load) -> tuple[Any, Generator, Discriminator]:
    part = load_part("stylegan2/train_losses32")
    size = size_of(part.manifest["settings"])
    generator, discriminator = Generator(size), Discriminator(size)
    of_d = {name.removeprefix("d."): value for name, value in part.state.items() if name.startswith("d.")}
    of_g = {name: value for name, value in part.state.items() if not name.startswith("d.")}
    fill(generator, to_our_names(of_g, "generator"), "golden")
    fill(discriminator, to_our_names(of_d, "discriminator"), "golden")
    return part, generator, discriminator


@pytest.mark.usefixtures("form")
def test_path_length(training_part: tuple[Any, Generator, Discriminator], relative_error: Error) -> None:
    part, generator, _ = training_part
    w = generator.mapping(part.tensor("z"))[:, None].repeat(1, generator.size.latents, 1)
    images = generator.synthesis(w, noise_of(part))
    assert relative_error(images, part.arrays["image"]) < TOLERANCE
    decay = part.manifest["settings"]["decay"]
    found = path_length_penalty(images, w, part.tensor("path_noise"), part.tensor("mean_path_length_in"), decay)
    assert relative_error(found.lengths, part.arrays["path_lengths"]) < TOLERANCE
    assert relative_error(found.mean, part.arrays["path_mean_out"]) < TOLERANCE
    assert relative_error(found.penalty, part.arrays["path_penalty"]) < TOLERANCE
    layer = generator.synthesis.layers[2].convolution.style.weight  # type: ignore[union-attr]
    constant, style = torch.autograd.grad(found.penalty, (generator.synthesis.constant, layer))  # type: ignore[arg-type]
    assert relative_error(constant, part.arrays["grad_penalty_wrt_input.input"]) < PENALTY
    assert relative_error(style[:8], part.arrays["grad_penalty_wrt_convs.1.conv.modulation.weight_rows0_8"]) < PENALTY


def test_discriminator_losses(training_part: tuple[Any, Generator, Discriminator], relative_error: Error) -> None:
    part, _, discriminator = training_part
    real = part.tensor("real").clone().requires_grad_()
    real_logits, fake_logits = discriminator(real), discriminator(part.tensor("fake"))
    penalty = gradient_penalty(real_logits, real).mean()
    values = {
        "real_logits": real_logits,
        "fake_logits": fake_logits,
        "r1": penalty,
        "d_logistic": discriminator_loss(real_logits, fake_logits),
        "g_nonsaturating": generator_loss(fake_logits),
    }
    for name, value in values.items():
        assert relative_error(value, part.arrays[name]) < TOLERANCE, name
    (gradient,) = torch.autograd.grad(penalty, discriminator.blocks[0].first.convolution.weight)  # type: ignore[union-attr,arg-type]
    assert relative_error(gradient[:4], part.arrays["grad_r1_wrt_d.convs.1.conv1.0.weight_rows0_4"]) < PENALTY

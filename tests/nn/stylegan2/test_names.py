"""StyleGAN2 checkpoints with third-party names: round trips, and errors that name what does not fit."""

import argparse
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.nn.official_checkpoints import fill
from deep3dmap.nn.stylegan2 import Discriminator, Generator, StyleGAN2Size, load_discriminator, load_generator
from deep3dmap.nn.stylegan2.names import to_our_names
from deep3dmap.nn.stylegan2.network_files import infer_generator_size

SIZE = StyleGAN2Size(32, 16, 3, 128, 12)
LINE = torch.tensor([1.0, 3, 3, 1])
FILTER = torch.outer(LINE, LINE) / 64


def generator() -> Generator:
    torch.manual_seed(0)
    network = Generator(SIZE)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    return network


def discriminator() -> Discriminator:
    torch.manual_seed(1)
    network = Discriminator(SIZE)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    return network


def layer(state: dict[str, Tensor], place: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{place}."): value for name, value in state.items() if name.startswith(f"{place}.")}


def nvlabs_generator(state: dict[str, Tensor]) -> dict[str, Tensor]:
    out = {"mapping.w_avg": torch.zeros(16), "synthesis.b4.const": state["synthesis.constant"][0]}
    for i in range(3):
        out |= {f"mapping.fc{i}.{kind}": state[f"mapping.layers.{i}.{kind}"] for kind in ("weight", "bias")}
    index = 0
    for block, side in enumerate((4, 8, 16, 32)):
        rgb = layer(state, f"synthesis.to_rgb.{block}")
        place = f"synthesis.b{side}"
        out |= {f"{place}.torgb.weight": rgb["convolution.weight"], f"{place}.torgb.bias": rgb["bias"]}
        out |= {f"{place}.torgb.affine.{kind}": rgb[f"convolution.style.{kind}"] for kind in ("weight", "bias")}
        out[f"{place}.resample_filter"] = FILTER
        for number in (1,) if side == 4 else (0, 1):
            ours, conv = layer(state, f"synthesis.layers.{index}"), f"{place}.conv{number}"
            out |= {
                f"{conv}.weight": ours["convolution.weight"],
                f"{conv}.bias": ours["bias"],
                f"{conv}.resample_filter": FILTER,
            }
            out |= {f"{conv}.affine.{kind}": ours[f"convolution.style.{kind}"] for kind in ("weight", "bias")}
            out |= {f"{conv}.noise_strength": ours["noise_strength"], f"{conv}.noise_const": ours["noise"][0, 0]}
            index += 1
    return out


def tensorflow_generator(state: dict[str, Tensor]) -> dict[str, Tensor]:
    out = {"dlatent_avg": torch.zeros(16), "G_synthesis/lod": torch.zeros(())}
    out["G_synthesis/4x4/Const/const"] = state["synthesis.constant"]
    for i in range(3):
        out[f"G_mapping/Dense{i}/weight"] = state[f"mapping.layers.{i}.weight"].T
        out[f"G_mapping/Dense{i}/bias"] = state[f"mapping.layers.{i}.bias"]

    def put(place: str, ours: dict[str, Tensor], turned: bool = False) -> None:
        kernel = ours["convolution.weight"].flip((2, 3)) if turned else ours["convolution.weight"]
        out[f"{place}/weight"] = kernel.permute(2, 3, 1, 0)
        out[f"{place}/bias"] = ours["bias"]
        out[f"{place}/mod_weight"], out[f"{place}/mod_bias"] = (
            ours["convolution.style.weight"].T,
            ours["convolution.style.bias"] - 1,
        )

    index = 0
    for block, side in enumerate((4, 8, 16, 32)):
        place = f"G_synthesis/{side}x{side}"
        put(f"{place}/ToRGB", layer(state, f"synthesis.to_rgb.{block}"))
        for name in ("Conv",) if side == 4 else ("Conv0_up", "Conv1"):
            ours = layer(state, f"synthesis.layers.{index}")
            put(f"{place}/{name}", ours, turned=name == "Conv0_up")
            out[f"{place}/{name}/noise_strength"] = ours["noise_strength"]
            out[f"G_synthesis/noise{index}"] = ours["noise"]
            index += 1
    return out


def nvlabs_discriminator(state: dict[str, Tensor]) -> dict[str, Tensor]:
    out = {"b32.fromrgb.weight": state["from_rgb.convolution.weight"], "b32.fromrgb.bias": state["from_rgb.bias"]}
    for block, side in enumerate((32, 16, 8)):
        ours = layer(state, f"blocks.{block}")
        for number, name in enumerate(("first", "second")):
            out[f"b{side}.conv{number}.weight"] = ours[f"{name}.convolution.weight"]
            out[f"b{side}.conv{number}.bias"] = ours[f"{name}.bias"]
            out[f"b{side}.conv{number}.resample_filter"] = FILTER
        out[f"b{side}.skip.weight"] = ours["shortcut.weight"]
    out |= {"b4.conv.weight": state["final.convolution.weight"], "b4.conv.bias": state["final.bias"]}
    for theirs, name in (("fc", "hidden"), ("out", "logit")):
        out |= {f"b4.{theirs}.{kind}": state[f"{name}.{kind}"] for kind in ("weight", "bias")}
    return out


def tensorflow_discriminator(state: dict[str, Tensor]) -> dict[str, Tensor]:
    parts = {"conv0": "Conv0", "conv1": "Conv1_down", "skip": "Skip", "conv": "Conv", "fc": "Dense0", "fromrgb": "FromRGB"}
    out = {}
    for name, value in nvlabs_discriminator(state).items():
        block, part, kind = name.split(".")
        if kind == "resample_filter":
            continue
        place = "Output" if part == "out" else f"{block[1:]}x{block[1:]}/{parts[part]}"
        out[f"{place}/{kind}"] = value.permute(2, 3, 1, 0) if value.dim() == 4 else value.T if value.dim() == 2 else value
    return out


@pytest.mark.parametrize("convert", [nvlabs_generator, tensorflow_generator])
def test_generators_come_back(convert: object) -> None:
    network = generator()
    state = dict(network.state_dict())
    found = to_our_names(convert(state), "generator")  # type: ignore[operator]
    assert found.keys() == state.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, state[name], atol=1e-6, rtol=0)
    assert infer_generator_size(found) == SIZE


@pytest.mark.parametrize("convert", [nvlabs_discriminator, tensorflow_discriminator])
def test_discriminators_come_back(convert: object) -> None:
    state = dict(discriminator().state_dict())
    found = to_our_names(convert(state), "discriminator")  # type: ignore[operator]
    assert found.keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in found.items())


def test_a_file_with_several_networks(tmp_path: Path) -> None:
    ours, judge = generator(), discriminator()
    content = {"args": argparse.Namespace(size=32), "g_ema": nvlabs_generator(ours.state_dict()), "d": judge.state_dict()}
    torch.save(content, tmp_path / "both.pt")
    z = torch.randn(2, 16)
    torch.testing.assert_close(load_generator(tmp_path / "both.pt")(z), ours(z))
    images = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(load_discriminator(tmp_path / "both.pt")(images), judge(images))


def test_what_does_not_fit_is_said_in_one_line(tmp_path: Path) -> None:
    state = dict(generator().state_dict())
    other = nvlabs_generator(state)
    cases: list[tuple[str, object]] = [
        ("do not match a known naming of a generator", {"alpha.weight": torch.zeros(1)}),
        ("contains no generator", {"d": dict(discriminator().state_dict())}),
        ("contains no generator", [1, 2]),
        ("'synthesis.b8.extra' is not a tensor", {**other, "synthesis.b8.extra": torch.zeros(1)}),
        ("another resampling filter than", {**other, "synthesis.b8.resample_filter": torch.ones(4, 4) / 16}),
        ("missing: synthesis.layers.3.bias", {name: value for name, value in state.items() if "layers.3.bias" not in name}),
        ("unexpected: synthesis.layers.9.bias", {**state, "synthesis.layers.9.bias": torch.zeros(4)}),
        ("of another size: synthesis.layers.1.noise", {**state, "synthesis.layers.1.noise": torch.zeros(1, 1, 4, 4)}),
        ("channels", {**state, "synthesis.layers.2.bias": torch.zeros(5)}),
    ]
    for number, (words, content) in enumerate(cases):
        path = tmp_path / f"{number}.pt"
        torch.save(content, path)
        with pytest.raises(UserError, match=words) as caught:
            load_generator(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    (tmp_path / "text.pt").write_text("no checkpoint")
    with pytest.raises(UserError, match="not a checkpoint saved by torch"):
        load_generator(tmp_path / "text.pt")
    with pytest.raises(UserError, match="No such file"):
        load_generator(tmp_path / "absent.pt")
    with pytest.raises(UserError, match=r"missing: .* of another size"):
        fill(Generator(StyleGAN2Size(64, 16, 3, 256, 12)), state, "here")


@pytest.mark.parametrize("power", range(5, 11))
def test_every_size_has_its_layers(power: int) -> None:
    size = StyleGAN2Size(2**power, 8, 2, 2**power * 2, 4)
    network = Generator(size)
    assert size.latents == 2 * power - 2
    assert len(network.synthesis.layers) == size.latents - 1
    assert infer_generator_size(network.state_dict()) == size
    if power <= 8:
        assert network(torch.randn(1, 8)).shape == (1, 3, 2**power, 2**power)
        assert Discriminator(size)(torch.randn(2, 3, 2**power, 2**power)).shape == (2, 1)


def test_official_channels() -> None:
    for multiplier in (1, 2):
        size = StyleGAN2Size(1024, channel_base=16384 * multiplier)
        assert [size.channels(side) for side in (4, 32)] == [512, 512]
        assert [size.channels(side) for side in (64, 128, 256, 512, 1024)] == [m * multiplier for m in (256, 128, 64, 32, 16)]
    parameters = sum(math.prod(p.shape) for p in Generator(StyleGAN2Size(64)).parameters())
    assert parameters == pytest.approx(23.8e6, rel=2e-3)

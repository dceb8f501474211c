"""GIRAFFE as a method: generated pictures and refusals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deep3dmap.config.variants import variants
from deep3dmap.core.errors import UserError
from deep3dmap.core.registry import methods
from deep3dmap.methods.giraffe.config import GiraffeConfig
from deep3dmap.methods.giraffe.method import Giraffe

TINY = GiraffeConfig(
    image_size=16, resolution=8, samples=8, latent=8, background_latent=4, hidden=16, blocks=2, skips=[], background_hidden=8,
    background_blocks=2, features=8, fewest_channels=4, position_octaves=3, discriminator_width=16, objects=2,
    near=1.5, far=4.0, scale_low=[0.3] * 3, scale_high=[0.4] * 3,
)  # fmt: skip


@pytest.fixture
def method() -> Giraffe:
    torch.manual_seed(0)
    built = Giraffe(TINY)
    torch.nn.init.constant_(built.generator.decoder.sigma_out.bias, 4.0)
    return built


@torch.no_grad()
def test_a_picture_depends_on_its_number_and_the_seed_only(method: Giraffe) -> None:
    whole = method.generate(range(20), 3)
    assert whole.shape == (20, 3, 16, 16)
    parts = torch.cat([method.generate(range(7), 3), method.generate(range(7, 20), 3)])
    assert (whole - parts).abs().max() < 1e-5
    assert (whole - method.generate(range(20), 4)).abs().max() > 1e-3


@torch.no_grad()
def test_controls_change_pictures(method: Giraffe) -> None:
    plain = method.generate(range(2), 0)
    for control in ({"rotate": 0.25}, {"translate": [0.0, 0.3, 0.0]}, {"remove": [0]}, {"add": 1}, {"background_of": 9}):
        assert (method.generate(range(2), 0, **control) - plain).abs().max() > 1e-4, control
    alone = method.generate(range(2), 0, remove=[0, 1])
    assert (method.generate(range(2), 0, remove=[0, 1], appearance_of=5) - alone).abs().max() == 0
    assert (method.generate(range(2), 0, temperature=0.1) - plain).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("controls", "says"),
    [
        ({"rotat": 0.5}, "unknown key 'rotat'; did you mean 'rotate'"),
        ({"translate": [1.0, 2.0]}, r"translate=\[1.0, 2.0\]: expects 3 values, got 2"),
        ({"translate": 0.5}, "translate: expected a list"),
        ({"rotate": "half"}, "rotate"),
        ({"scale": 0.0}, "scale=0.0: must be more than 0"),
        ({"share": 1.5}, "share=1.5: must be at least 0 and at most 1"),
        ({"remove": ["first"]}, "remove"),
        ({"object": -2}, "object=-2: must be at least -1"),
        ({"temperature": "hot"}, "temperature must be a finite number of at least 0, got 'hot'"),
        ({"temperature": float("nan")}, "temperature must be a finite number of at least 0, got nan"),
    ],
)
def test_controls_that_make_no_sense(method: Giraffe, controls: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        method.generate(range(1), 0, **controls)  # type: ignore[arg-type]


def test_pictures_are_resized_and_have_to_be_square(method: Giraffe) -> None:
    random = np.random.default_rng(0)
    ramp = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (3, 32, 1))
    seen = [method.transform({"image": ramp}, random)["image"] for _ in range(20)]
    assert all(image.shape == (3, 16, 16) for image in seen)
    rising = [bool(image[0, 0, -1] > image[0, 0, 0]) for image in seen]
    assert 0 < sum(rising) < 20
    with pytest.raises(UserError, match="square"):
        method.transform({"image": np.zeros((3, 16, 20), np.float32)}, random)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"image_size": 24}, "image_size=24"),
        ({"camera_height": [0.5, 0.2]}, "camera_height must be two numbers, the lower one first"),
        ({"near": 4.0}, "method.near must be less than method.far, got 4 and 4"),
        (
            {"blocks": 4, "skips": [3]},
            "after layer 3 of method.blocks=4; the last possible layer is 2",
        ),
        ({"object_counts": [0.5, 0.6]}, "object_counts"),
    ],
)
def test_configurations_that_do_not_fit_together(changes: dict[str, object], named: str) -> None:
    with pytest.raises(UserError, match=named):
        Giraffe(replace(TINY, **changes))  # type: ignore[arg-type]


def test_official_weights_are_generated_from_and_not_trained(method: Giraffe, tmp_path: Path) -> None:
    state = {
        f"{part}.{name}": value
        for part in ("generator", "discriminator")
        for name, value in getattr(method, part).state_dict().items()
    }
    state |= {f"generator_test.{name}": value for name, value in method.generator.state_dict().items()}
    torch.save({"model": state, "it": 7}, tmp_path / "checkpoint.pt")
    config = replace(TINY, weights=str(tmp_path / "checkpoint.pt"))
    assert not Giraffe.trains(config)
    assert Giraffe.trains(TINY)
    with torch.no_grad():
        assert torch.equal(Giraffe(config).generate(range(1), 0), method.generate(range(1), 0))


@pytest.mark.parametrize("variant", sorted(set(variants(methods, "giraffe")) - {"tune"}))
def test_every_variant_builds(variant: str) -> None:
    from deep3dmap.config.compose import compose_run

    options = compose_run(f"giraffe/{variant}", "clevr/smoke", ()).config["method"]
    assert Giraffe(GiraffeConfig(**options)).generator.config.resolution * 2 <= options["image_size"]

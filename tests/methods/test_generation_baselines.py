"""Baselines of the generation suite: a mean picture and memorised pictures, which survive a checkpoint."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.core import UserError
from deep3dmap.methods.jittered_images.method import JitteredImages, JitteredImagesConfig
from deep3dmap.methods.mean_image.method import MeanImage, MeanImageConfig

Loop = Callable[..., Any]
SIDE = 8


class Ramps:
    """Pictures of a single colour each, number / 10, with a brighter left half."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = np.full((3, SIDE, SIDE), index / 10, np.float32)
        image[:, :, : SIDE // 2] += 0.2
        return {"image": image}


def trained(method: Any, loop: Any, steps: int | None = None) -> Any:
    for _ in method.train_steps(loop):
        loop.advance()
        if loop.step == steps:
            break
    return method


def test_the_mean_is_that_of_the_pictures_it_may_see(make_loop: Loop) -> None:
    loop = make_loop(Ramps(), batch_size=1)
    method = trained(MeanImage(MeanImageConfig(pictures=4)), loop)
    assert loop.planned_steps == loop.step == 4
    samples = method.generate(range(3), 7)
    assert samples.shape == (3, 3, SIDE, SIDE)
    expected = np.mean([Ramps()[index]["image"] for index in range(4)], 0)
    np.testing.assert_allclose(samples[2].numpy(), expected, atol=1e-6)
    assert np.array_equal(method.reconstruct({}).samples[0], samples[0].numpy())


def test_jittered_pictures_are_near_those_that_were_kept(make_loop: Loop) -> None:
    method = trained(
        JitteredImages(JitteredImagesConfig(pictures=5, shift=0.0, zoom=0.0, tint=0.0)), make_loop(Ramps(), batch_size=1)
    )
    samples = method.generate(range(40), 3)
    kept = torch.stack([torch.from_numpy(Ramps()[index]["image"]) for index in range(5)])
    # Only mirroring remains.
    both = torch.cat([kept, kept.flip(3)])
    apart = (samples[:, None] - both[None]).abs().amax((2, 3, 4))
    assert apart.min(1).values.max() < 3e-3
    assert len(set(apart.argmin(1).tolist())) == 10


def test_a_jittered_picture_depends_on_its_number_and_the_seed_only(make_loop: Loop) -> None:
    method = trained(JitteredImages(JitteredImagesConfig()), make_loop(Ramps(), batch_size=1))
    whole = method.generate(range(6), 3)
    assert torch.equal(whole[2:4], method.generate(range(2, 4), 3))
    assert not torch.equal(whole, method.generate(range(6), 4))
    assert whole.min() >= 0
    assert whole.max() <= 1
    assert method.generate(range(0), 3).shape == (0, 3, SIDE, SIDE)


@pytest.mark.parametrize("build", [lambda: MeanImage(MeanImageConfig()), lambda: JitteredImages(JitteredImagesConfig())])
def test_it_goes_on_after_an_interruption(build: Callable[[], Any], make_loop: Loop) -> None:
    whole = trained(build(), make_loop(Ramps(), batch_size=1))
    first_loop = make_loop(Ramps(), batch_size=1)
    first = trained(build(), first_loop, steps=2)
    second, loop = build(), make_loop(Ramps(), batch_size=1)
    second.load_state_dict(first.state_dict())
    loop.load_state_dict(first_loop.state_dict())
    trained(second, loop)
    assert torch.equal(second.generate(range(5), 1), whole.generate(range(5), 1))


@pytest.mark.parametrize("build", [lambda: MeanImage(MeanImageConfig()), lambda: JitteredImages(JitteredImagesConfig())])
def test_what_a_baseline_refuses(build: Callable[[], Any], make_loop: Loop) -> None:
    with pytest.raises(UserError, match="has seen no training picture"):
        build().generate(range(1), 0)
    with pytest.raises(UserError, match="has no control 'truncation'"):
        build().generate(range(1), 0, truncation=0.5)
    mixed = [Ramps()[0], {"image": np.zeros((3, SIDE, 2 * SIDE), np.float32)}]
    with pytest.raises(UserError, match=r"picture sizes differ, \(3, 8, 8\) and \(3, 8, 16\)"):
        trained(build(), make_loop(mixed, batch_size=1))

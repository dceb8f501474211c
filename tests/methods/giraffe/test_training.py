"""Training of GIRAFFE: order and rates of the updates, and that a step depends only on its own random numbers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.core import UserError
from deep3dmap.methods.giraffe.config import GiraffeConfig
from deep3dmap.methods.giraffe.method import SHOWN, Giraffe

Loop = Callable[..., Any]
TINY = GiraffeConfig(
    image_size=16, resolution=8, samples=6, latent=8, background_latent=4, hidden=16, blocks=2, skips=[], background_hidden=8,
    background_blocks=2, features=8, fewest_channels=4, position_octaves=3, discriminator_width=16, objects=2,
    near=1.5, far=4.0, scale_low=[0.3] * 3, scale_high=[0.4] * 3,
)  # fmt: skip


class Discs:
    """Bright discs of 16 pixels on a dark background, each further to the right than the previous one."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict[str, Any]:
        rows, columns = np.mgrid[:16, :16]
        disc = ((rows - 8) ** 2 + (columns - 4 - index % 8) ** 2 < 12).astype(np.float32)
        return {"image": np.stack([disc, disc, 0 * disc])}


def trained(make_loop: Loop, steps: int, config: GiraffeConfig = TINY, **trainer: Any) -> tuple[Giraffe, Any, list[Any]]:
    torch.manual_seed(0)
    method, loop = Giraffe(config), make_loop(Discs(), **{"batch_size": 4, "lr": 1e-3, **trainer})
    taken, running = [], method.train_steps(loop)
    for _ in range(steps):
        taken.append(next(running))
        loop.advance()
    return method, loop, taken


def state(method: Giraffe) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in method.state_dict().items()}


def test_both_networks_move_in_every_step_at_their_own_rates(make_loop: Loop) -> None:
    torch.manual_seed(0)
    method, loop = Giraffe(TINY), make_loop(Discs(), batch_size=4, lr=1e-3)
    running, before = method.train_steps(loop), state(method)
    step = next(running)
    after = state(method)
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"generator", "discriminator"}
    assert loop.learning_rates == pytest.approx({"generator": 1e-3, "discriminator": 2e-4})
    assert set(step.terms) == {"generator", "discriminator", "r1"}
    torch.testing.assert_close(step.loss, step.terms["generator"] + step.terms["discriminator"])
    # Adam's first update has the size of the learning rate, for every parameter with a gradient.
    for part, rate in (("generator", 1e-3), ("discriminator", 2e-4)):
        longest = max(float((after[name] - before[name]).abs().max()) for name in before if name.startswith(part))
        assert longest == pytest.approx(rate, rel=1e-2)


def test_a_step_is_the_same_from_the_same_random_numbers(make_loop: Loop) -> None:
    first, again = (trained(make_loop, 3)[2] for _ in range(2))
    assert [float(one.loss) for one in first] == [float(one.loss) for one in again]
    assert len({float(one.loss) for one in first}) == 3


def test_micro_batches_together_are_as_many_pictures(make_loop: Loop) -> None:
    _, loop, taken = trained(make_loop, 2, accumulate=2)
    assert loop.plan.micro_batches == 2
    assert all(np.isfinite(float(value)) for one in taken for value in one.terms.values())


def test_the_penalty_is_the_squared_gradient_at_real_pictures(make_loop: Loop) -> None:
    plain, strict = (trained(make_loop, 1, replace(TINY, penalty=weight))[0] for weight in (0.0, 100.0))
    real = torch.from_numpy(np.stack([Discs()[index]["image"] for index in range(4)])).requires_grad_()
    slopes = []
    for method in (plain, strict):
        (gradient,) = torch.autograd.grad(method.discriminator(real).sum(), real)
        slopes.append(float(gradient.square().sum((1, 2, 3)).mean()))
    assert slopes[1] < slopes[0]


def test_the_discriminator_learns_to_tell_discs_from_pictures(make_loop: Loop) -> None:
    method, _, taken = trained(make_loop, 40, replace(TINY, discriminator_rate=4.0, penalty=0.1))
    real = torch.from_numpy(np.stack([Discs()[index]["image"] for index in range(12)]))
    with torch.no_grad():
        fresh = Giraffe(TINY).generate(range(12), 0)
        assert method.discriminator(real).mean() > method.discriminator(fresh).mean() + 0.5
    assert taken[-1].terms["discriminator"] < taken[0].terms["discriminator"]


def test_only_the_generator_is_averaged(make_loop: Loop) -> None:
    method, loop, _ = trained(make_loop, 3, ema_decay=0.5)
    (average,) = loop.averages
    assert average.module is method.generator
    assert average.updates == 3


def test_pictures_are_mirrored_only_where_that_is_asked_for() -> None:
    method, random = Giraffe(replace(TINY, flip=False)), np.random.default_rng(0)
    ramp = np.tile(np.linspace(0, 1, 16, dtype=np.float32), (3, 16, 1))
    for _ in range(8):
        np.testing.assert_array_equal(method.transform({"image": ramp}, random)["image"], ramp)


def test_a_reconstruction_shows_the_first_scenes() -> None:
    torch.manual_seed(0)
    method = Giraffe(TINY)
    with torch.no_grad():
        found = method.reconstruct({})
        assert found.samples is not None
        assert found.samples.shape == (SHOWN, 3, 16, 16)
        np.testing.assert_array_equal(found.samples, method.generate(range(SHOWN), 0).numpy())


@pytest.mark.parametrize("size", [12, 24])
def test_networks_that_cannot_make_pictures_of_a_size_say_so(size: int) -> None:
    with pytest.raises(UserError, match=f"method.image_size={size} must be method.resolution=8 times 2, 4, 8"):
        Giraffe(replace(TINY, image_size=size))

"""StyleGAN2 as a method: lazy rates, averages, penalties at intervals, samples by index, and refusals."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.config.schema import OptimizerConfig
from deep3dmap.core import UserError
from deep3dmap.frameworks.weight_average import copy_parameters
from deep3dmap.methods.stylegan2.method import StyleGAN2, lazy_rates
from deep3dmap.methods.stylegan2.options import StyleGAN2Config

Loop = Callable[..., Any]
TINY = StyleGAN2Config(
    resolution=16, style_dim=8, mapping_layers=2, channel_base=128, channel_max=8, r1_every=3, path_every=2, augment=True
)


class Discs:
    """Coloured discs of 16 pixels."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> dict[str, Any]:
        rows, columns = np.mgrid[:16, :16]
        disc = ((rows - 8) ** 2 + (columns - 5 - index % 6) ** 2 < 20).astype(np.float32)
        return {"image": disc * np.linspace(0.2, 1, 3, dtype=np.float32)[:, None, None] * (0.5 + index / 48)}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def trained(make_loop: Loop, steps: int, config: StyleGAN2Config = TINY) -> tuple[StyleGAN2, Any, list[Any]]:
    method, loop = StyleGAN2(config), make_loop(Discs(), batch_size=4)
    generator, taken = method.train_steps(loop), []
    for _ in range(steps):
        taken.append(next(generator))
        loop.advance()
    return method, loop, taken


def test_lazy_rates_keep_the_horizon_of_adam() -> None:
    # n updates with rate lr c and decay beta^c, where c replaces one update: the products equal those of one update.
    lazy = lazy_rates(OptimizerConfig(lr=0.002, betas=[0.0, 0.99]), 16)
    assert lazy.lr == pytest.approx(0.002 * 16 / 17)
    assert lazy.betas[1] ** (17 / 16) == pytest.approx(0.99)
    assert lazy_rates(OptimizerConfig(lr=0.002), 0).lr == 0.002


def test_penalties_come_in_their_turns(make_loop: Loop) -> None:
    _, _, taken = trained(make_loop, 7)
    assert [step for step, one in enumerate(taken) if "r1" in one.terms] == [0, 3, 6]
    assert [step for step, one in enumerate(taken) if "path_length" in one.terms] == [0, 2, 4, 6]
    assert all(np.isfinite(float(one.loss)) for one in taken)


def test_it_trains_in_half_precision(make_loop: Loop) -> None:
    method, loop = StyleGAN2(TINY), make_loop(Discs(), batch_size=4, precision="bf16")
    generator, taken = method.train_steps(loop), []
    for _ in range(4):
        taken.append(next(generator))
        loop.advance()
    assert all(np.isfinite(float(value)) for one in taken for value in (one.loss, *one.terms.values()))
    assert method.path_mean.dtype == torch.float32
    assert method.path_mean > 0


def test_the_mean_path_length_is_remembered(make_loop: Loop) -> None:
    method, _, _ = trained(make_loop, 3)
    assert method.path_mean > 0
    other = StyleGAN2(TINY)
    other.load_state_dict(method.state_dict())
    assert other.path_mean == method.path_mean
    assert other.controller.state_dict() == method.controller.state_dict()


def test_only_the_generator_is_averaged(make_loop: Loop) -> None:
    method, loop, _ = trained(make_loop, 4)
    (average,) = loop.averages
    assert average.module is method.generator
    # Four regular updates and two of the path length penalty.
    assert average.updates == 6
    moved = [not torch.equal(average.parameters()[name], p) for name, p in method.generator.named_parameters()]
    assert any(moved)


def test_the_discriminator_learns_to_tell_discs(make_loop: Loop) -> None:
    method, _, _ = trained(make_loop, 40, replace(TINY, augment=False, path_length=0.0))
    reals = torch.from_numpy(np.stack([Discs()[index]["image"] for index in range(16)])) * 2 - 1
    fresh = StyleGAN2(TINY).generate(range(16), 0) * 2 - 1
    with torch.no_grad():
        assert method.discriminator(reals).mean() > method.discriminator(fresh).mean() + 0.5


def test_a_number_is_a_picture() -> None:
    method = StyleGAN2(TINY)
    with torch.no_grad():
        whole = method.generate(range(6), 3)
        parts = torch.cat([method.generate(range(0, 2), 3), method.generate(range(2, 6), 3)])
        other = method.generate(range(6), 4)
    torch.testing.assert_close(whole, parts, atol=1e-5, rtol=0)
    assert (whole - other).abs().mean() > 1e-3
    assert whole.min() >= 0
    assert whole.max() <= 1


def test_truncation_ends_at_one_picture_and_lines_meet_their_ends() -> None:
    method = StyleGAN2(TINY)
    with torch.no_grad():
        mean = method.generate(range(4), 0, truncation=0.0, noise="stored")
        line = method.generate(range(9), 0, between=4)
        ends = method.generate(range(3), 0, noise="stored")
    torch.testing.assert_close(mean[0], mean[3])
    torch.testing.assert_close(line[::4], ends, atol=1e-5, rtol=0)
    assert not torch.allclose(line[1], line[0])


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ({"truncaton": 1.0}, "unknown control.*did you mean 'truncation'"),
        ({"between": 0}, "integer of at least 1"),
        ({"truncation": "much"}, "must be a number"),
        ({"noise": "none"}, "random or stored"),
    ],
)
def test_controls_that_make_no_sense(controls: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        StyleGAN2(TINY).generate(range(1), 0, **controls)


def test_pictures_of_another_size_are_refused(make_loop: Loop) -> None:
    with pytest.raises(UserError, match=r"32 x 32 pixels \(method.resolution\), the dataset has 16 x 16"):
        trained(make_loop, 1, replace(TINY, resolution=32))


def test_the_average_is_what_a_checkpoint_is_used_with(make_loop: Loop) -> None:
    method, loop, _ = trained(make_loop, 3)
    with torch.no_grad(), loop.averaged_weights():
        wanted = method.generate(range(2), 0)
    copy_parameters(loop.averages[0].parameters(), method.generator)
    with torch.no_grad():
        torch.testing.assert_close(method.generate(range(2), 0), wanted)


def test_official_weights_are_used_as_they_are(tmp_path: Path, make_loop: Loop) -> None:
    source = StyleGAN2(TINY)
    torch.save({"g_ema": source.generator.state_dict()}, tmp_path / "gan.pt")
    config = replace(TINY, resolution=64, weights=str(tmp_path / "gan.pt"))
    method = StyleGAN2(config)
    assert not StyleGAN2.trains(config)
    assert list(method.train_steps(make_loop([]))) == []
    with torch.no_grad():
        torch.testing.assert_close(method.generate(range(2), 0), source.generate(range(2), 0))

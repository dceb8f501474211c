"""Schedules compared with closed forms; averages and clipping compared with manual computations in torch."""

import math

import pytest
import torch
from toys import Dots, DotsConfig, Regression, RegressionConfig

from deep3dmap.config.schema import OptimizerConfig, ScheduleConfig
from deep3dmap.core import UserError
from deep3dmap.frameworks import LoopSettings, TrainLoop
from deep3dmap.frameworks.optimization import build_optimizer, build_schedule
from deep3dmap.testing.method_under_test import OwnProcessHost


def rates(schedule: ScheduleConfig, steps: int, per_epoch: int = 4, total: int = 10) -> list[float]:
    factor = build_schedule(schedule, per_epoch, total)
    return [factor(step) for step in range(steps)]


def test_schedules_follow_their_formulas() -> None:
    assert rates(ScheduleConfig(), 3) == [1, 1, 1]
    assert rates(ScheduleConfig(name="step", every_epochs=1, factor=0.5), 9) == [1] * 4 + [0.5] * 4 + [0.25]
    assert rates(ScheduleConfig(name="step", every_steps=2, factor=0.1), 4) == pytest.approx([1, 1, 0.1, 0.1])
    assert rates(ScheduleConfig(name="step", milestones=[0.2, 0.5]), 7) == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
    with pytest.raises(UserError, match=r"milestones.*max_steps"):
        rates(ScheduleConfig(name="step", milestones=[0.2]), 1, total=0)
    cosine = [0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * s / 10)) for s in range(10)]
    assert rates(ScheduleConfig(name="cosine", final_factor=0.1), 10) == pytest.approx(cosine)
    assert rates(ScheduleConfig(warmup_steps=4), 5) == pytest.approx([0.25, 0.5, 0.75, 1, 1])


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserError, match=r"unknown optimizer\.name 'adm'; did you mean 'adam'"):
        build_optimizer([torch.nn.Parameter(torch.zeros(1))], OptimizerConfig(name="adm"))
    with pytest.raises(UserError, match=r"unknown schedule\.name"):
        rates(ScheduleConfig(name="cosin"), 1)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "rmsprop"])
def test_every_optimizer_lowers_the_loss(name: str) -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = build_optimizer([parameter], OptimizerConfig(name=name, lr=0.05))
    for _ in range(20):
        optimizer.zero_grad()
        parameter.square().sum().backward()
        optimizer.step()
    assert parameter.abs().max() < 0.9


@pytest.mark.parametrize("name", ["adam", "adamw"])
@pytest.mark.parametrize("grouped", [True, False])
def test_adam_on_a_cpu_is_fused_and_updates_as_torchs_own(name: str, grouped: bool) -> None:
    config = OptimizerConfig(name=name, lr=0.05, betas=[0.8, 0.99], weight_decay=0.1)
    layers = [torch.nn.Linear(3, 2).double() for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    given = [{"params": layers[0].parameters(), "rate": 0.5}] if grouped else layers[0].parameters()
    ours = build_optimizer(given, config)
    assert ours.param_groups[0]["fused"] is True
    plain = getattr(torch.optim, {"adam": "Adam", "adamw": "AdamW"}[name])
    theirs = plain(layers[1].parameters(), lr=0.05, betas=(0.8, 0.99), weight_decay=0.1, foreach=False)
    for _ in range(5):
        for layer, optimizer in zip(layers, (ours, theirs)):
            optimizer.zero_grad()
            layer(torch.ones(1, 3, dtype=torch.float64)).square().sum().backward()
            optimizer.step()
    for own, other in zip(layers[0].parameters(), layers[1].parameters()):
        torch.testing.assert_close(own, other, rtol=1e-12, atol=1e-12)


def make_loop(**trainer: object) -> tuple[TrainLoop, Regression]:
    torch.manual_seed(0)
    settings = LoopSettings(optimizer=OptimizerConfig(name="sgd", lr=0.1, momentum=0.0))
    settings.trainer.batch_size = 4
    for name, value in trainer.items():
        setattr(settings.trainer, name, value)
    return TrainLoop(OwnProcessHost(), settings, Dots(DotsConfig()).split("train")), Regression(RegressionConfig(dropout=0.0))


def test_accumulated_gradients_equal_the_whole_batch() -> None:
    finals = []
    for accumulate in (1, 2, 4):
        loop, method = make_loop(accumulate=accumulate)
        steps = method.train_steps(loop)
        for _ in range(3):
            next(steps)
            loop.advance()
        finals.append(method.layers[1].weight.detach().clone())
    torch.testing.assert_close(finals[0], finals[1])
    torch.testing.assert_close(finals[0], finals[2])


def test_a_schedule_counts_steps_and_not_updates() -> None:
    """Regression test: with two updates per step, a cosine schedule ended at half of the budget."""
    loop, method = make_loop(max_steps=10)
    loop.settings.schedule.name = "cosine"
    optimizer = loop.optimizer("mine", method.parameters())
    batches = loop.batches(method.card.trains_on)
    rates = []
    for _ in range(10):
        for _ in range(2):
            with loop.micro_batch("mine"):
                loop.backward(sum(method.losses(method(batch := next(batches)), batch).values()))
            loop.update("mine")
        rates.append(optimizer.param_groups[0]["lr"])
        loop.advance()
    assert rates == pytest.approx([0.1 * 0.5 * (1 + math.cos(math.pi * step / 10)) for step in range(10)])


def test_clipping_bounds_the_step() -> None:
    loop, method = make_loop(clip_norm=0.01)
    before = torch.cat([p.detach().flatten().clone() for p in method.parameters()])
    next(method.train_steps(loop))
    moved = (torch.cat([p.detach().flatten() for p in method.parameters()]) - before).norm()
    assert moved == pytest.approx(0.1 * 0.01, rel=1e-3)


def test_the_average_is_exponential_and_is_put_back() -> None:
    loop, method = make_loop(ema_decay=0.5)
    steps = method.train_steps(loop)
    expected = method.layers[1].weight.detach().clone()
    for _ in range(3):
        next(steps)
        weight = method.layers[1].weight.detach().clone()
        expected = 0.5 * expected + 0.5 * weight
    with loop.averaged_weights():
        torch.testing.assert_close(method.layers[1].weight, expected)
    assert torch.equal(method.layers[1].weight, weight)

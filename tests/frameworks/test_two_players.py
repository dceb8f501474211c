"""Two players trained with the loop match the same players in plain torch, step by step, on one worker and on two."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing
from torch import Tensor
from torch.nn import functional
from toys import Dots, DotsConfig
from two_player import (
    BATCH,
    DECAY,
    DISCRIMINATOR,
    PENALTY,
    STEPS,
    TURNS,
    GoesAlone,
    GoesAloneUnprepared,
    NeverPrepares,
    TwoPlayers,
    discriminator_loss,
    halved,
    make_players,
    train_in_process,
    train_players,
)

from deep3dmap.frameworks import LoopSettings, TrainLoop
from deep3dmap.frameworks.gradients import gradient_penalty
from deep3dmap.testing.method_under_test import OwnProcessHost


def in_bare_torch() -> tuple[TwoPlayers, dict[str, Tensor]]:
    method = make_players()
    averaged = deepcopy(method.generator)
    slow = torch.optim.SGD(method.generator[0].parameters(), 0.005, momentum=0.9)
    fast = torch.optim.SGD(method.generator[2].parameters(), 0.05, momentum=0.9)
    judge = torch.optim.RMSprop(method.discriminator.parameters(), DISCRIMINATOR.lr, alpha=0.99)
    batches = whole_batches()
    for step in range(STEPS):
        for group, rate in ((slow, 0.005), (fast, 0.05)):
            group.param_groups[0]["lr"] = rate * halved(step)
        for _ in range(TURNS):
            image, landmarks = next(batches)
            image.requires_grad_()
            (gradient,) = torch.autograd.grad(method.discriminator(image).sum(), image, create_graph=True)
            penalty = gradient.square().sum(1)
            judge.zero_grad()
            discriminator_loss(method.discriminator, image, method.generator(landmarks), penalty).backward()
            judge.step()
        slow.zero_grad()
        fast.zero_grad()
        functional.softplus(-method.discriminator(method.generator(landmarks))).mean().backward()
        slow.step()
        fast.step()
        for old, new in zip(averaged.parameters(), method.generator.parameters()):
            old.data.mul_(DECAY).add_(new.data, alpha=1 - DECAY)
    return method, dict(averaged.named_parameters())


def whole_batches() -> Any:
    """The batches of the loop's plan, as for one worker without accumulation."""
    split = Dots(DotsConfig()).split("train")
    for epoch in range(100):
        order = np.random.default_rng([0, epoch]).permutation(len(split))
        for begin in range(0, len(split) // (BATCH * TURNS) * BATCH * TURNS, BATCH):
            samples = [split[int(i)] for i in order[begin : begin + BATCH]]
            yield tuple(torch.from_numpy(np.stack([s[key].reshape(-1) for s in samples])) for key in ("image", "landmarks_68"))


def assert_same(found: Any, expected: Any) -> None:
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("accumulate", [1, 2])
def test_equal_to_bare_torch(accumulate: int) -> None:
    method = make_players()
    loop = train_players(method, OwnProcessHost(), accumulate)
    expected, averaged = in_bare_torch()
    assert_same(method.state_dict(), expected.state_dict())
    assert_same(loop.averages[0].parameters(), averaged)
    assert loop.averages[0].updates == STEPS


@pytest.mark.parametrize(("accumulate", "cls"), [(1, TwoPlayers), (2, TwoPlayers), (2, NeverPrepares)])
def test_two_workers_equal_bare_torch(tmp_path: Path, accumulate: int, cls: type) -> None:
    torch.multiprocessing.spawn(train_in_process, (str(tmp_path), accumulate, cls), nprocs=2)
    expected, averaged = in_bare_torch()
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert_same(found.pop("average"), averaged)
        assert_same(found, expected.state_dict())


@pytest.mark.parametrize("cls", [GoesAlone, GoesAloneUnprepared])
def test_workers_that_drift_apart_are_found(tmp_path: Path, cls: type) -> None:
    torch.multiprocessing.spawn(train_in_process, (str(tmp_path), 1, cls), nprocs=2)
    for rank in (0, 1):
        assert "drifted apart: 'discriminator" in (tmp_path / f"{rank}.txt").read_text()


def test_a_gradient_penalty_is_its_closed_form() -> None:
    # The gradient of f(x) = sum(w x^2) / 2 is w x, and the penalty is |w x|^2.
    weight = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    inputs = torch.tensor([[1.0, 1.0, 1.0], [2.0, 0.0, -1.0]], requires_grad=True)
    penalty = gradient_penalty((0.5 * weight * inputs.square()).sum(1), inputs, scale=1024.0)
    torch.testing.assert_close(penalty, torch.tensor([14.0, 13.0]))
    (by_weight,) = torch.autograd.grad(penalty.sum(), weight)
    torch.testing.assert_close(by_weight, 2 * weight.detach() * inputs.detach().square().sum(0))


def test_a_player_whose_turn_it_is_not_gathers_no_gradient() -> None:
    method = make_players()
    settings = LoopSettings()
    loop = TrainLoop(OwnProcessHost(), settings, Dots(DotsConfig()).split("train"))
    loop.optimizer("generator", method.generator.parameters())
    loop.optimizer("discriminator", method.discriminator.parameters())
    with loop.micro_batch("generator"):
        loop.backward(method.discriminator(method.generator(torch.rand(2, 204))).mean())
    assert all(parameter.grad is None for parameter in method.discriminator.parameters())
    assert all(parameter.grad is not None for parameter in method.generator.parameters())
    assert all(parameter.requires_grad for parameter in method.parameters())


def test_mistakes_with_names_are_told() -> None:
    method = make_players()
    loop = TrainLoop(OwnProcessHost(), LoopSettings(), Dots(DotsConfig()).split("train"))
    loop.optimizer("generator", method.generator.parameters())
    loop.optimizer("discriminator", method.discriminator.parameters())
    with pytest.raises(ValueError, match="did you mean 'generator'"):
        loop.update("generater")
    with pytest.raises(ValueError, match="which optimiser"):
        loop.update()
    with pytest.raises(RuntimeError, match=r"without a loop\.micro_batch"):
        loop.update("generator")
    with pytest.raises(RuntimeError, match=r"outside of loop\.micro_batch"):
        loop.backward(torch.zeros((), requires_grad=True))
    with pytest.raises(ValueError, match="release it first"):
        loop.optimizer("generator", method.generator.parameters())
    loop.release("generator")
    assert loop.optimizer("generator", method.generator.parameters())


def test_the_penalty_weight_is_the_toys() -> None:
    # The reference above uses the same constant; this checks that the loss contains the penalty.
    method = make_players()
    loss = discriminator_loss(method.discriminator, torch.zeros(1, 48), torch.zeros(1, 48), torch.ones(1))
    bare = discriminator_loss(method.discriminator, torch.zeros(1, 48), torch.zeros(1, 48), torch.zeros(1))
    assert (loss - bare).item() == pytest.approx(PENALTY)

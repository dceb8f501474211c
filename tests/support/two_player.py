"""A two-player toy: a generator and a discriminator updated at different rates, with all features that such methods use."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from toys import CARD, Dots, DotsConfig, RegressionConfig
from two_workers import group_of_two

from deep3dmap.config.schema import OptimizerConfig
from deep3dmap.core import Reconstruction, Step
from deep3dmap.frameworks import CustomFramework, LoopSettings, TrainLoop
from deep3dmap.frameworks.replicas import ReplicasDifferError
from deep3dmap.testing.method_under_test import OwnProcessHost

TURNS = 2  # updates of the discriminator in one step
DISCRIMINATOR = OptimizerConfig(name="rmsprop", lr=0.01)
GENERATOR = OptimizerConfig(name="sgd", lr=0.05, momentum=0.9)
DECAY = 0.7
PENALTY = 0.5
STEPS, BATCH = 4, 8


def halved(step: int) -> float:
    """The generator's own schedule: half the learning rate from the third step on."""
    return 1.0 if step < 2 else 0.5


def discriminator_loss(discriminator: nn.Module, real: Tensor, fake: Tensor, penalty: Tensor) -> Tensor:
    """Non-saturating loss with R1."""
    loss = functional.softplus(-discriminator(real)) + functional.softplus(discriminator(fake))
    return loss.mean() + PENALTY * penalty.mean()


class TwoPlayers(CustomFramework):
    """The discriminator receives images, and the generator's outputs for landmarks."""

    card = CARD
    config_type = RegressionConfig
    variants = {"mini": {}}

    def __init__(self, config: RegressionConfig) -> None:
        super().__init__(config)
        self.generator = nn.Sequential(nn.Linear(204, config.hidden), nn.Tanh(), nn.Linear(config.hidden, 48))
        self.discriminator = nn.Sequential(nn.Linear(48, config.hidden), nn.Softplus(), nn.Linear(config.hidden, 1))

    def train_steps(self, loop: Any) -> Any:
        """Update the discriminator twice, on separate batches, and then the generator once."""
        for module in (self.generator, self.discriminator):
            loop.prepare(module)
        groups = [{"params": self.generator[0].parameters(), "rate": 0.1}, {"params": self.generator[2].parameters()}]
        loop.optimizer("generator", groups, GENERATOR, halved)
        loop.optimizer("discriminator", self.discriminator.parameters(), DISCRIMINATOR)
        loop.average(self.generator, after="generator", decay=DECAY)
        batches = loop.batches(self.card.trains_on, per_step=TURNS)
        while True:
            for _ in range(TURNS):
                seen = [next(batches) for _ in range(loop.plan.micro_batches)]
                losses = [self._discriminate(loop, batch) for batch in seen]
                loop.update("discriminator")
            for batch in seen:
                with loop.micro_batch("generator"):
                    fake = self.generator(batch["landmarks_68"].flatten(1))
                    loop.backward(functional.softplus(-self.discriminator(fake)).mean())
            loop.update("generator")
            yield Step(torch.stack(losses).mean())

    def _discriminate(self, loop: Any, batch: dict[str, Tensor]) -> Tensor:
        with loop.micro_batch("discriminator"):
            real = batch["image"].flatten(1).requires_grad_()
            fake = self.generator(batch["landmarks_68"].flatten(1))
            penalty = loop.gradient_penalty(self.discriminator(real), real)
            loss = discriminator_loss(self.discriminator, real, fake, penalty)
            loop.backward(loss)
        return loss.detach()

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Return landmarks that depend on all weights."""
        score = float(self.discriminator(self.generator(torch.as_tensor(given["image"]).reshape(1, -1).repeat(1, 5)[:, :204])))
        return Reconstruction("image", "pixel", landmarks=torch.full((68, 3), score).numpy())


class NeverPrepares(TwoPlayers):
    """A method that never calls `loop.prepare`: its weights depend on its seed, and `loop.update` still averages gradients."""

    def train_steps(self, loop: Any) -> Any:
        """Train as usual."""
        loop.prepare = lambda module: module
        return super().train_steps(loop)


class GoesAloneUnprepared(TwoPlayers):
    """A method that wrongly steps its own optimiser, and does not prepare any module with the loop."""

    def train_steps(self, loop: Any) -> Any:
        """Train without using the loop, except for its batches."""
        optimizer = torch.optim.SGD(self.discriminator.parameters(), 0.1)
        for batch in loop.batches(self.card.trains_on):
            loss = functional.softplus(-self.discriminator(batch["image"].flatten(1))).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield Step(loss.detach())


class GoesAlone(GoesAloneUnprepared):
    """A method that wrongly steps its own optimiser, so that gradients are not averaged over the workers."""

    def train_steps(self, loop: Any) -> Any:
        """Train only the discriminator, after preparing all modules."""
        loop.prepare(self)
        yield from super().train_steps(loop)


class Worker(OwnProcessHost):
    """One of several workers in the processes of a test."""

    def __init__(self, rank: int, world_size: int) -> None:
        super().__init__()
        self.rank, self.world_size = rank, world_size


def make_players(cls: type = TwoPlayers) -> Any:
    torch.manual_seed(0)
    return cls(RegressionConfig())


def train_players(method: Any, host: Any, accumulate: int) -> TrainLoop:
    settings = LoopSettings()
    settings.trainer.batch_size, settings.trainer.accumulate = BATCH, accumulate
    loop = TrainLoop(host, settings, Dots(DotsConfig()).split("train"))
    steps = method.train_steps(loop)
    for _ in range(STEPS):
        next(steps)
        loop.advance()
    loop.synchronise(method)
    return loop


def train_in_process(rank: int, folder: str, accumulate: int, cls: type) -> None:
    torch.set_num_threads(1)
    with group_of_two(rank, folder):
        train_as_one_of_two(rank, folder, accumulate, cls)


def train_as_one_of_two(rank: int, folder: str, accumulate: int, cls: type) -> None:
    method = make_players(cls)
    try:
        loop = train_players(method, Worker(rank, 2), accumulate)
        torch.save({**method.state_dict(), "average": loop.averages[0].state_dict()["parameters"]}, f"{folder}/{rank}.pt")
    except ReplicasDifferError as error:
        Path(folder, f"{rank}.txt").write_text(str(error))

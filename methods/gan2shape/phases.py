"""Consecutive phases of a fit, each with a new optimiser."""

from collections.abc import Callable, Iterable, Iterator

from torch import nn

from deep3dmap.config.schema import OptimizerConfig
from deep3dmap.core import Step
from deep3dmap.frameworks import TrainLoop
from deep3dmap.frameworks.optimization import Schedule
from deep3dmap.methods.gan2shape.steps import Loss

# Computes the loss of a phase, given the number of its step.
StepLoss = Callable[[int], Loss]
# Called once at the start of a phase, with True if the phase was entered before; returns its loss.
Prepare = Callable[[bool], StepLoss]


class Phases:
    """Runs the phases of a fit. learnable: all parameters that any phase trains."""

    def __init__(self, loop: TrainLoop, learnable: Iterable[nn.Parameter]) -> None:
        self._loop, self._learnable, self.end = loop, list(learnable), 0

    def run(
        self,
        name: str,
        parameters: Iterable[nn.Parameter],
        steps: int,
        prepare: Prepare,
        optimizer: OptimizerConfig,
        schedule: Schedule = lambda step: 1.0,
    ) -> Iterator[Step]:
        """Yield the remaining steps of a phase; parameters that it does not train accumulate no gradients.

        schedule: factor of the learning rate, as a function of the step within the phase.
        """
        loop, begin = self._loop, self.end
        self.end += steps
        if loop.step >= self.end:
            return
        learned = list(parameters)
        self._choose(learned)
        loss_of = prepare(loop.step > begin)
        loop.optimizer(name, learned, optimizer, lambda step: schedule(step - begin))
        try:
            while loop.step < self.end:
                with loop.micro_batch(name):
                    loss = loss_of(loop.step - begin)
                    loop.backward(loss.total)
                loop.update(name)
                yield Step(loss.total.detach(), {key: value.detach() for key, value in loss.terms.items()})
            loop.release(name)
        finally:
            self._choose(self._learnable)

    def _choose(self, learned: list[nn.Parameter]) -> None:
        chosen = {id(parameter) for parameter in learned}
        for parameter in self._learnable:
            parameter.requires_grad_(id(parameter) in chosen)

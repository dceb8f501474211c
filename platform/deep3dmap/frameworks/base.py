"""Base classes of learned methods: a unified pipeline, or a custom schedule."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from deep3dmap.core.method import Method, Step
from deep3dmap.frameworks.loop import TrainLoop

# Name of the unified pipeline's only optimiser.
MAIN = "main"


class CustomFramework(Method, nn.Module):
    """A method with its own schedule: implement `train_steps`, using the training loop, and `reconstruct`.

    `loop.optimizer` creates optimisers, `loop.batches` provides data, and `loop.prepare` gives all workers the same initial
    weights. Store the phase of the schedule in a buffer or in `get_extra_state`, so that it is saved with the weights.
    frozen: names of modules whose weights come from elsewhere (an asset, another run) and are not saved in checkpoints.
    draws: whether training steps draw random numbers or compare the samples of a batch, in which case the updates of two
    workers differ from those of one.
    """

    frozen: ClassVar[tuple[str, ...]] = ()
    draws: ClassVar[bool] = False

    def __init__(self, config: Any) -> None:
        nn.Module.__init__(self)
        self.config = config

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return parameters and buffers, except those of frozen modules."""
        state = nn.Module.state_dict(self, *args, **kwargs)
        return {name: value for name, value in state.items() if name.partition(".")[0] not in self.frozen}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Restore parameters and buffers; those of frozen modules do not change."""
        own = nn.Module.state_dict(self)
        frozen_values = {name: value for name, value in own.items() if name.partition(".")[0] in self.frozen}
        return nn.Module.load_state_dict(self, {**frozen_values, **state}, strict=strict, assign=assign)

    def validate(self, loop: TrainLoop) -> dict[str, float]:
        """Return validation metrics, identical on every worker; `validation_loss` determines the best checkpoint."""
        return {}


class BaseFramework(CustomFramework):
    """The unified pipeline: implement `forward` and `losses`; the platform handles the training around them."""

    @abstractmethod
    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Map a batch to outputs."""

    @abstractmethod
    def losses(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return the named loss terms, each a mean over the batch; the training loss is their sum."""

    def transform(self, sample: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
        """Augment one training sample; `generator` is seeded with (seed, epoch, index). Returns it unchanged by default."""
        return sample

    def train_steps(self, loop: TrainLoop) -> Iterator[Step]:
        """Minimise the sum of the losses over the training split."""
        network = loop.prepare(self)
        loop.optimizer(MAIN, self.parameters())
        loop.average(self, after=MAIN)
        self.set_mode(training=True)
        keys = self.card.trains_on or self.card.consumes
        micro_batches: list[dict[str, Tensor]] = []
        for batch in loop.batches(keys, self.transform):
            with loop.micro_batch(MAIN):
                terms = self.losses(network(batch), batch)
                loop.backward(torch.stack(list(terms.values())).sum())
            micro_batches.append({name: term.detach() for name, term in terms.items()})
            if loop.update(MAIN):
                yield _step(micro_batches)
                micro_batches = []

    def validate(self, loop: TrainLoop) -> dict[str, float]:
        """Return the mean loss over the validation split, pooled over all workers."""
        sums = {"loss": 0.0, "samples": 0.0}
        self.set_mode(training=False)
        with torch.no_grad():
            for batch in loop.validation_batches(self.card.trains_on or self.card.consumes):
                size = len(next(iter(batch.values())))
                sums["loss"] += size * sum(float(term) for term in self.losses(self(batch), batch).values())
                sums["samples"] += size
        self.set_mode(training=True)
        sums = loop.sum_over_workers(sums)
        return {"validation_loss": sums["loss"] / sums["samples"]} if sums["samples"] else {}

    def set_mode(self, training: bool) -> None:
        """Set training or inference mode, which affects batch norm and dropout."""
        nn.Module.train(self, training)


def _step(micro_batches: list[dict[str, Tensor]]) -> Step:
    """Average the loss terms over the micro-batches of one optimisation step."""
    if len(micro_batches) == 1:
        terms = micro_batches[0]
    else:
        terms = {name: torch.stack([terms[name] for terms in micro_batches]).mean() for name in micro_batches[0]}
    return Step(torch.stack(list(terms.values())).sum(), terms)

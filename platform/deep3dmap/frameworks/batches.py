"""An infinite, resumable stream of batches whose order depends only on the seed.

Sample `i` of epoch `e` is transformed with a generator seeded with (seed, e, i): the stream is the same for any number of
workers or loader processes, and a resume continues in the middle of an epoch without reading the samples already consumed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import Dataset as TorchDataset

from deep3dmap.core.errors import UserError

Transform = Callable[[dict[str, Any], np.random.Generator], dict[str, Any]]


@dataclass(frozen=True)
class BatchPlan:
    """Division of an epoch into batches.

    batch_size: samples per micro-batch of one worker. micro_batches: micro-batches of one worker per batch. per_step: batches
    per step.
    """

    batch_size: int
    micro_batches: int
    rank: int
    world_size: int
    seed: int
    per_step: int = 1

    @property
    def samples_per_step(self) -> int:
        """Number of samples in one step, over all workers."""
        return self.batch_size * self.micro_batches * self.world_size * self.per_step

    @property
    def micro_batches_per_step(self) -> int:
        """Number of micro-batches of one worker in one step."""
        return self.micro_batches * self.per_step

    def steps_per_epoch(self, samples: int) -> int:
        """Return the number of steps in one epoch; an incomplete last step is dropped."""
        steps = samples // self.samples_per_step
        if steps == 0:
            times = f" ({self.per_step} batches per step)" if self.per_step > 1 else ""
            size = self.samples_per_step // self.per_step
            raise UserError(f"trainer.batch_size={size}{times} is more than the {samples} training samples; reduce it")
        return steps

    def order(self, samples: int, epoch: int) -> list[list[tuple[int, int]]]:
        """Return this worker's micro-batches of an epoch as (epoch, index) pairs.

        The permutation is global, and worker r takes the r-th part of each batch, so the union over all workers is the batch
        that a single worker would process.
        """
        permutation = np.random.default_rng([self.seed, epoch]).permutation(samples)
        used = permutation[: self.steps_per_epoch(samples) * self.samples_per_step]
        worker_batches = used.reshape(-1, self.world_size, self.micro_batches, self.batch_size)[:, self.rank]
        return [[(epoch, int(index)) for index in micro_batch] for batch in worker_batches for micro_batch in batch]


class _SeededDataset(TorchDataset[dict[str, Any]]):
    """Indexes a map-style dataset by (epoch, index) and transforms each sample with its own seeded generator."""

    def __init__(self, dataset: Any, transform: Transform, seed: int) -> None:
        self.dataset, self.transform, self.seed = dataset, transform, seed

    def __getitem__(self, at: tuple[int, int]) -> dict[str, Any]:
        epoch, index = at
        return self.transform(self.dataset[index], np.random.default_rng([self.seed, epoch, index]))


def map_style_batches(
    dataset: Sequence[Any], transform: Transform, plan: BatchPlan, start_step: int, processes: int
) -> Iterator[dict[str, Any]]:
    """Yield micro-batches indefinitely, starting after `start_step` steps."""
    seeded = _SeededDataset(dataset, transform, plan.seed)
    # A separate generator, so that the loader does not consume random numbers of the step that creates it.
    generator = torch.Generator().manual_seed(plan.seed)
    # One loader for all epochs, so that its processes and the data they cache persist.
    order = _endless_order(plan, len(dataset), start_step)
    yield from DataLoader(seeded, batch_sampler=order, num_workers=processes, generator=generator)


def _endless_order(plan: BatchPlan, samples: int, start_step: int) -> Iterator[list[tuple[int, int]]]:
    epoch, skipped = divmod(start_step, plan.steps_per_epoch(samples))
    while True:
        yield from plan.order(samples, epoch)[skipped * plan.micro_batches_per_step :]
        epoch, skipped = epoch + 1, 0


def stream_batches(source: Iterable[Any], transform: Transform, plan: BatchPlan, start_step: int) -> Iterator[dict[str, Any]]:
    """Yield batches from a DataLoader or an iterable of samples indefinitely; a resume reads and drops the consumed ones.

    With several workers, worker r takes every world_size-th batch (DataLoader) or sample (iterable), starting from the r-th.
    """
    consumed = start_step * plan.micro_batches_per_step
    while True:
        count = 0
        for batch in _one_pass(source, transform, plan):
            count += 1
            if consumed >= count:
                continue
            yield batch
        if count == 0:
            raise UserError("the training data yielded no batches; check the dataset and trainer.batch_size")
        consumed = max(0, consumed - count)


def _one_pass(source: Iterable[Any], transform: Transform, plan: BatchPlan) -> Iterator[dict[str, Any]]:
    if isinstance(source, DataLoader):
        yield from islice(source, plan.rank, None, plan.world_size)
        return
    samples = _TransformedStream(source, transform, plan)
    yield from DataLoader(samples, batch_size=plan.batch_size, drop_last=True, generator=torch.Generator())


class _TransformedStream(IterableDataset[dict[str, Any]]):
    def __init__(self, source: Iterable[Any], transform: Transform, plan: BatchPlan) -> None:
        self.source, self.transform, self.plan = source, transform, plan

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for index, sample in enumerate(self.source):
            if index % self.plan.world_size == self.plan.rank:
                yield self.transform(sample, np.random.default_rng([self.plan.seed, index]))


def to_device(batch: Any, device: torch.device) -> Any:
    """Move the tensors of a nested batch to `device`."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(to_device(value, device) for value in batch)
    return batch

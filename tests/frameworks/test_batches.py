"""The stream of batches: seeded, resumable, split exactly over workers, from a dataset, an iterable or a loader."""

import os
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from toys import Dots, DotsConfig

from deep3dmap.core import UserError
from deep3dmap.frameworks import LoopSettings, TrainLoop
from deep3dmap.frameworks.batches import BatchPlan, map_style_batches
from deep3dmap.frameworks.inputs import select
from deep3dmap.testing.method_under_test import OwnProcessHost


class Numbers:
    """A dataset whose samples are their indices."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"x": np.float32(index)}


def jitter(sample: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
    return {"x": sample["x"] + generator.random(dtype=np.float32) / 2}


def values(plan: BatchPlan, start: int, count: int, processes: int = 0) -> list[list[float]]:
    stream = map_style_batches(Numbers(23), jitter, plan, start, processes)  # type: ignore[arg-type]
    return [batch["x"].tolist() for batch in islice(stream, count)]


@pytest.mark.parametrize("start", [0, 1, 5, 7])
@pytest.mark.parametrize("processes", [0, 2])
def test_starting_later_skips_exactly_what_was_consumed(start: int, processes: int) -> None:
    plan = BatchPlan(4, 1, 0, 1, seed=3)
    assert values(plan, 0, 10)[start:] == values(plan, start, 10 - start, processes)


def test_workers_share_what_one_would_see() -> None:
    alone = values(BatchPlan(4, 1, 0, 1, seed=1), 0, 5)
    shares = [values(BatchPlan(2, 1, rank, 2, seed=1), 0, 5) for rank in (0, 1)]
    for step in range(5):
        assert sorted(shares[0][step] + shares[1][step]) == sorted(alone[step])


def test_an_epoch_sees_each_sample_once_and_epochs_differ() -> None:
    batches = values(BatchPlan(23, 1, 0, 1, seed=0), 0, 2)
    assert sorted(int(x) for x in batches[0]) == list(range(23))
    assert [int(x) for x in batches[0]] != [int(x) for x in batches[1]]


class WhoReads:
    """A dataset that records which process reads it."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"process": os.getpid()}


def test_loader_processes_outlive_an_epoch() -> None:
    stream = map_style_batches(WhoReads(), lambda sample, _: sample, BatchPlan(2, 1, 0, 1, 0), 0, 1)  # type: ignore[arg-type]
    seen = {int(process) for _ in range(6) for process in next(stream)["process"]}
    assert len(seen) == 1
    assert os.getpid() not in seen


def test_too_large_a_batch_is_an_error_of_the_user() -> None:
    with pytest.raises(UserError, match=r"trainer\.batch_size=24 is more than the 23"):
        values(BatchPlan(24, 1, 0, 1, seed=0), 0, 1)


def loop(**trainer: Any) -> TrainLoop:
    settings = LoopSettings(inputs={"mine": "image"})
    settings.trainer.batch_size = 4
    for name, value in trainer.items():
        setattr(settings.trainer, name, value)
    return TrainLoop(OwnProcessHost(), settings, Dots(DotsConfig()).split("train"))


def test_an_iterable_and_a_ready_loader_feed_the_same_keys() -> None:
    split = Dots(DotsConfig()).split("train")
    samples = [split[i] for i in range(len(split))]
    ready = DataLoader(samples, batch_size=4)  # type: ignore[arg-type]
    for source in (iter_of(samples), ready):
        batch = next(loop().batches(("mine",), dataset=source))
        assert list(batch) == ["mine"]
        torch.testing.assert_close(batch["mine"], torch.stack([torch.tensor(s["image"]) for s in samples[:4]]))


class iter_of:  # noqa: N801
    """An iterable without a length."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __iter__(self) -> Any:
        return iter(self.items)


def test_an_iterable_resumes_where_it_was() -> None:
    split = Dots(DotsConfig()).split("train")
    source = iter_of([split[i] for i in range(12)])
    fresh = [b["mine"] for b in islice(loop().batches(("mine",), dataset=source), 5)]
    later = loop()
    later.step = 2
    resumed = [b["mine"] for b in islice(later.batches(("mine",), dataset=source), 3)]
    assert all(torch.equal(a, b) for a, b in zip(fresh[2:], resumed))


@pytest.mark.parametrize("as_dataset", [True, False])
def test_steps_of_several_batches_resume_where_they_were(as_dataset: bool) -> None:
    """Regression test: a resume repeated the second batch of every step."""
    split = Dots(DotsConfig()).split("train")
    given = {} if as_dataset else {"dataset": iter_of([split[i] for i in range(24)])}
    fresh = [b["mine"] for b in islice(loop().batches(("mine",), per_step=2, **given), 5)]
    later = loop()
    later.step = 2
    (resumed,) = (b["mine"] for b in islice(later.batches(("mine",), per_step=2, **given), 1))
    assert torch.equal(resumed, fresh[4])
    assert not torch.equal(resumed, fresh[2])


def test_only_selected_keys_pass() -> None:
    sample = {"image": 1, "mesh": "the truth"}
    assert select(sample, ("photo",), {"photo": "image"}) == {"photo": 1}
    with pytest.raises(UserError, match="no 'imag' for the method's 'imag'; did you mean 'image'"):
        select(sample, ("imag",), {})


def test_batch_size_must_split_evenly() -> None:
    with pytest.raises(UserError, match="multiple of workers x accumulate = 3"):
        loop(accumulate=3)
    with pytest.raises(UserError, match=r"trainer\.precision"):
        loop(precision="fp8")


def test_an_epoch_has_fewer_steps_where_a_step_takes_more_batches() -> None:
    split = Dots(DotsConfig()).split("train")
    once = loop(max_epochs=2)
    alone = once.total_steps
    assert alone == 2 * (len(split) // 4)
    once.batches(("mine",), per_step=2)
    assert (once.steps_per_epoch, once.total_steps) == (len(split) // 8, 2 * (len(split) // 8))
    resumed = loop(max_epochs=2)
    resumed.load_state_dict(once.state_dict())
    assert resumed.total_steps == once.total_steps
    # Batches from other data do not change the length of the run's epochs.
    once.batches(("mine",), dataset=split, per_step=1)
    assert once.steps_per_epoch == len(split) // 8


def test_a_schedule_follows_the_epochs_that_show_after_its_optimiser_is_made() -> None:
    made = loop(max_epochs=2)
    made.settings.schedule.name, made.settings.schedule.every_epochs, made.settings.schedule.factor = "step", 1, 0.5
    optimizer = made.optimizer("main", [torch.nn.Parameter(torch.zeros(1))])
    rate = optimizer.param_groups[0]["lr"]
    made.batches(("mine",), per_step=2)
    for _ in range(made.steps_per_epoch):
        assert optimizer.param_groups[0]["lr"] == rate
        made.advance()
    assert optimizer.param_groups[0]["lr"] == rate / 2

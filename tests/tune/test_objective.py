"""A suite's metric as the objective: the protocol on the validation split, for learned methods and for others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toys
from evaluating import scores_of

from deep3dmap.core import Evaluation, MetricCard, Protocol, Reconstruction, SuiteCard, Task, Views, suites
from deep3dmap.testing import Subject
from deep3dmap.train.hosts import choose_device
from deep3dmap.train.job import train_here
from deep3dmap.tune.objective import SuiteScorer, ValidationView, objectives_of
from deep3dmap.tune.options import TuneOptions

# Withheld by the suite: a method that receives the whole sample scores differently.
OFFERED = np.float32(0.5)


class DotsProtocol(Protocol):
    """Scores the closeness of the landmarks, higher is better."""

    card = SuiteCard(
        "Dots",
        1,
        Task("landmarks", ("image",), ("landmarks",), "the landmarks"),
        (MetricCard("nearness", "", "up", "minus the distance"), MetricCard("worst", "", "down", "of the worst scene")),
        "nearness",
        "",
    )

    def offered(self, sample: dict[str, Any]) -> dict[str, Any]:
        return {"image": sample["image"] * OFFERED}

    def begin(self) -> "DotsEvaluation":
        return DotsEvaluation()

    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        raise AssertionError("a sweep draws nothing")


class DotsEvaluation(Evaluation):
    """Scores landmarks."""

    def __init__(self) -> None:
        self.worst = 0.0

    def add(
        self, scene: str, reconstruction: Reconstruction, views: Views | None, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        assert reconstruction.landmarks is not None
        distance = float(np.abs(reconstruction.landmarks - truth["landmarks_68"]).mean())
        self.worst = max(self.worst, distance)
        return {"nearness": -distance}

    def finish(self) -> Mapping[str, float]:
        return {"worst": self.worst}


class Host:
    """Stores its reports."""

    rank, world_size, device = 0, 1, choose_device("cpu")

    def __init__(self) -> None:
        self.told: list[dict[str, float]] = []

    def report(self, metrics: Mapping[str, float]) -> None:
        self.told.append(dict(metrics))

    def should_stop(self) -> bool:
        return len(self.told) == 3


@pytest.fixture(scope="module", autouse=True)
def dots() -> None:
    suites.add("dots", DotsProtocol)


class Watched(toys.Dots):
    """Records which splits are opened."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.opened: list[str] = []

    def split(self, name: str) -> toys.DotsSplit:
        self.opened.append(name)
        return super().split(name)


def test_the_protocol_scores_the_validation_split_and_no_other(tmp_path: Path) -> None:
    subject = Subject("toys:Regression/mini", tmp_path, "toys:Dots", ("method.dropout=0.5",))
    method, data = subject.build(), Watched(toys.DotsConfig())
    scorer = SuiteScorer("dots/nearness", ValidationView(data), {})
    method.set_mode(training=True)  # type: ignore[attr-defined]
    value = scorer.score(method, 0)
    assert data.opened == ["val"]
    assert method.training  # type: ignore[attr-defined]
    assert scorer.score(method, 0) == value  # no dropout while it scores
    split = toys.Dots(toys.DotsConfig()).split("val")
    method.set_mode(training=False)  # type: ignore[attr-defined]
    with torch.no_grad():
        samples = [split[index] for index in range(5)]
        expected = [
            scores_of(DotsProtocol(), method.reconstruct({"image": s["image"] * OFFERED}), s)["nearness"] for s in samples
        ]
    assert value == pytest.approx(np.mean(expected))
    assert SuiteScorer("dots/worst", ValidationView(data), {}).score(method, 0) == pytest.approx(-min(expected))
    assert SuiteScorer("dots/nearness", ValidationView(data), {}, scenes=2).score(method, 0) == pytest.approx(
        np.mean(expected[:2])
    )


def test_a_session_tells_the_metric_with_place_and_stops_when_asked(tmp_path: Path) -> None:
    subject, host = Subject("toys:Regression/mini", tmp_path, "toys:Dots"), Host()
    scorer = SuiteScorer("dots/nearness", ValidationView(subject.dataset), {})
    _, summary = train_here(subject.job("told", max_steps=20, evaluate_every=4), host, scorer)
    assert [told["step"] for told in host.told] == [4, 8, 12, 12]
    assert [told["progress"] for told in host.told] == [20, 40, 60, 60]
    assert all(told["seconds"] > 0 and told["dots/nearness"] < 0 < told["validation_loss"] for told in host.told)
    assert summary.stopped


def test_the_card_says_which_way_is_better() -> None:
    assert objectives_of(TuneOptions(metric="dots/nearness"))[0].better == "up"
    assert objectives_of(TuneOptions(metric="dots/nearness", mode="min"))[0].better == "down"
    assert objectives_of(TuneOptions(metric="validation_loss"))[0].better == "down"
    both = objectives_of(TuneOptions(objectives=["memory", "quality", "seconds"]))
    assert [objective.title for objective in both] == ["validation_loss", "memory", "seconds"]

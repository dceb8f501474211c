"""The generation suite: pictures like the training pictures, generated without any input."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.benchmarks.generation.pictures import write_sheet
from deep3dmap.benchmarks.generation.set_comparison import NEIGHBORS, SetComparison
from deep3dmap.core import (
    Asset,
    Evaluation,
    LazySequence,
    MetricCard,
    Protocol,
    Reconstruction,
    Split,
    SuiteCard,
    Task,
    UserError,
    Views,
    WholeSet,
    asset_in_folder,
)
from deep3dmap.metrics.picture_features import INCEPTION_FILE, EmbeddedFeatures, InceptionFeatures

BATCH_SIZE = 64  # pictures in memory at once
MIN_PHOTOGRAPHS = 2 * (NEIGHBORS + 1)

INCEPTION = Asset(
    "Inception-v3",
    INCEPTION_FILE,
    "Nvidia Source Code License",
    "the network used for the published distances",
    f"NVlabs/stylegan2-ada-pytorch as {INCEPTION_FILE}",
)
_DISTANCES = (
    ("frechet", "down", "Frechet distance to the reference half of the test photographs"),
    ("kernel", "down", "unbiased squared maximum mean discrepancy to them, cubic kernel"),
    ("precision", "up", "fraction of samples within the manifold of the reference photographs"),
    ("recall", "up", "fraction of reference photographs within the manifold of the samples"),
)
_NETWORKS = {
    "embedded": "position-dependent colours and edges, no network; comparable only with itself",
    "inception": "Inception-v3 features, if the user has the weights",
}
_SETS = {"": "", "floor_": "; for equally many other real photographs instead of samples"}


class GenerationProtocol(Protocol):
    """Scores samples of a generator against photographs that it has not seen."""

    card = SuiteCard(
        title="Generation: pictures like those of a set",
        version=1,
        task=Task(
            name="generation",
            given=(),
            wanted=("samples",),
            meaning="pictures distributed like the training pictures, without any input; half of the test photographs are the "
            "reference, the other half is its real-to-real floor, and equally many samples are drawn",
        ),
        metrics=tuple(
            MetricCard(f"{which}{name}_{network}", "", better, f"{meaning} ({about}){extra}")
            for network, about in _NETWORKS.items()
            for which, extra in _SETS.items()
            for name, better, meaning in _DISTANCES
        ),
        headline="frechet_embedded",
        reference="Heusel et al., NeurIPS 2017; Binkowski et al., ICLR 2018; Kynkaanniemi et al., NeurIPS 2019",
    )

    def scenes(self, split: Split) -> Split:
        """Return the whole split as one scene."""
        return WholeSet("test_set", {"images": LazySequence(partial(_photograph, split), len(split))})

    def begin(self) -> "GenerationEvaluation":
        """Start the evaluation of a run."""
        return GenerationEvaluation(_inception())

    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        """Write samples.png: a sheet of samples next to a sheet of photographs."""
        return write_sheet(reconstruction, truth, folder)


class GenerationEvaluation(Evaluation):
    """Compares samples with photographs, in batches."""

    def __init__(self, inception: InceptionFeatures | None = None) -> None:
        networks: list[Any] = [EmbeddedFeatures(), *([inception] if inception else [])]
        self._comparisons = [SetComparison(network, network.name) for network in networks]

    def add(
        self, scene: str, reconstruction: Reconstruction, views: Views | None, truth: dict[str, Any]
    ) -> Mapping[str, float]:
        """Return nothing: the reconstruction is a sheet for viewing; only the samples are scored."""
        return {}

    def add_samples(self, scene: str, sample: Any, truth: dict[str, Any]) -> Mapping[str, float]:
        """Return the distances. Raises UserError for fewer than eight photographs."""
        photographs: Sequence[Any] = truth["images"]
        if len(photographs) < MIN_PHOTOGRAPHS:
            raise UserError(f"the generation suite needs at least {MIN_PHOTOGRAPHS} test photographs, got {len(photographs)}")
        half = len(photographs) // 2
        # Similar photographs may be adjacent, so the two halves alternate.
        for start in range(0, half, BATCH_SIZE):
            places = range(start, min(start + BATCH_SIZE, half))
            reference = _batch([photographs[2 * place] for place in places])
            others = _batch([photographs[2 * place + 1] for place in places])
            samples = sample(places)
            if samples.shape[1:] != reference.shape[1:]:
                raise UserError(
                    f"samples are {tuple(samples.shape[1:])}, the photographs {tuple(reference.shape[1:])}; "
                    "compare pictures of the same size"
                )
            for comparison in self._comparisons:
                comparison.reference.add(comparison.network(reference))
                comparison.others.add(comparison.network(others))
                comparison.samples.add(comparison.network(samples.float()))
        scores: dict[str, float] = {}
        for comparison in self._comparisons:
            scores |= comparison.scores()
        return scores


def _photograph(split: Split, index: int) -> Any:
    return split[index]["image"]


def _batch(photographs: list[Any]) -> Tensor:
    return torch.from_numpy(np.stack(photographs))


def _inception() -> InceptionFeatures | None:
    """Return the published metric network if it is in the user's asset folder."""
    path = asset_in_folder(INCEPTION)
    return None if path is None else InceptionFeatures(path)

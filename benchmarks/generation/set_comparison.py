"""Streaming comparison of sets of pictures in the features of a network."""

from collections.abc import Callable

from torch import Tensor

from deep3dmap.metrics.feature_statistics import FeatureSample, FeatureStatistics
from deep3dmap.metrics.generated_images import frechet_distance, kernel_distance, precision_recall
from deep3dmap.metrics.picture_features import Features

KEPT = 5000  # features kept per set, for the distances that need individual features
NEIGHBORS = 3
SUBSETS = 20


class PictureSet:
    """Statistics of a set: mean and covariance of all features, and a uniform sample of them."""

    def __init__(self) -> None:
        self.statistics, self.sample = FeatureStatistics(), FeatureSample(KEPT)

    def add(self, features: Features) -> None:
        """Add the features (N, D) of a batch of pictures."""
        self.statistics.add(features)
        self.sample.add(features)


class SetComparison:
    """Reference pictures, other real pictures and samples, in the features of one network."""

    def __init__(self, network: Callable[[Tensor], Features], name: str) -> None:
        self.network, self.name = network, name
        self.reference, self.others, self.samples = PictureSet(), PictureSet(), PictureSet()

    def scores(self) -> dict[str, float]:
        """Return the distances of the samples to the reference, and those of equally many real pictures."""
        reference = self.reference.statistics.gaussian()
        kept = self.reference.sample.features()
        found = {}
        for prefix, pictures in (("", self.samples), ("floor_", self.others)):
            features = pictures.sample.features()
            found[f"{prefix}frechet"] = frechet_distance(reference, pictures.statistics.gaussian())
            found[f"{prefix}kernel"] = kernel_distance(kept, features, subsets=SUBSETS).mean
            nearness = precision_recall(kept, features, NEIGHBORS)
            found |= {f"{prefix}precision": nearness.precision, f"{prefix}recall": nearness.recall}
        return {f"{name}_{self.name}": value for name, value in found.items()}

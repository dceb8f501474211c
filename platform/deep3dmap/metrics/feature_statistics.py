"""Streaming statistics of features: mean and covariance, and a uniform random sample."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deep3dmap.core.errors import UserError

Array = npt.NDArray[np.float64]


class Gaussian(NamedTuple):
    """Mean (D,) and covariance (D, D), normalised by N - 1, of N features."""

    mean: Array
    covariance: Array
    samples: int


class FeatureStatistics:
    """Mean and covariance of batches of features (N, D), accumulated in float64 (Chan, Golub and LeVeque, 1983)."""

    def __init__(self) -> None:
        self._count = 0
        self._mean: Array = np.zeros(0)
        self._scatter: Array = np.zeros((0, 0))

    def add(self, features: npt.ArrayLike) -> None:
        """Add a batch (N, D). Raises UserError for a different D or non-finite values."""
        batch = _checked(features, len(self._mean) if self._count else None)
        if not len(batch):
            return
        mean = batch.mean(0)
        centered = batch - mean
        self._merge(len(batch), mean, centered.T @ centered)

    def merge(self, other: "FeatureStatistics") -> None:
        """Add the features accumulated by another instance."""
        if other._count:
            self._merge(other._count, other._mean, other._scatter)

    def _merge(self, count: int, mean: Array, scatter: Array) -> None:
        if not self._count:
            self._count, self._mean, self._scatter = count, mean, scatter.copy()
            return
        total = self._count + count
        step = mean - self._mean
        self._scatter = self._scatter + scatter + np.outer(step, step) * (self._count * count / total)
        self._mean = self._mean + step * (count / total)
        self._count = total

    def gaussian(self) -> Gaussian:
        """Return the statistics so far. Raises UserError if there are fewer than two features."""
        if self._count < 2:
            raise UserError(f"a covariance needs at least two features, got {self._count}")
        return Gaussian(self._mean, self._scatter / (self._count - 1), self._count)


class FeatureSample:
    """A uniform random sample of at most `capacity` features of a stream (reservoir sampling)."""

    def __init__(self, capacity: int, seed: int = 0) -> None:
        self.capacity = capacity
        self._random = np.random.default_rng(seed)
        self._kept: list[Array] = []
        self._seen = 0

    def add(self, features: npt.ArrayLike) -> None:
        """Add a batch (N, D). Raises UserError for a different D or non-finite values."""
        for feature in _checked(features, len(self._kept[0]) if self._kept else None):
            self._seen += 1
            if len(self._kept) < self.capacity:
                self._kept.append(feature.copy())
                continue
            place = int(self._random.integers(self._seen))
            if place < self.capacity:
                self._kept[place] = feature.copy()

    def features(self) -> Array:
        """Return the sampled features, (at most capacity, D)."""
        return np.stack(self._kept) if self._kept else np.zeros((0, 0))


def _checked(features: npt.ArrayLike, width: int | None) -> Array:
    batch = np.asarray(features, np.float64)
    if batch.ndim != 2 or (width is not None and batch.shape[1] != width):
        raise UserError(f"features must be (N, {width or 'D'}), got {batch.shape}")
    if not np.isfinite(batch).all():
        raise UserError("some features are not finite")
    return batch

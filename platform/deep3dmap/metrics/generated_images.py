"""Distances between sets of generated and real images, from their features."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist

from deep3dmap.core.errors import UserError
from deep3dmap.metrics.feature_statistics import Array, Gaussian

_ROWS = 1024


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """Return the squared Frechet distance between two Gaussians (Dowson and Landau, 1982; Heusel et al., NeurIPS 2017).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)); the last trace is computed from the eigenvalues of the symmetric
    C1^(1/2) C2 C1^(1/2), so that rank-deficient covariances are handled. Raises UserError for different numbers of features.
    """
    if first.mean.shape != second.mean.shape:
        raise UserError(f"features must come from one network: {len(first.mean)} numbers per image against {len(second.mean)}")
    values, vectors = np.linalg.eigh(first.covariance)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    between = np.linalg.eigvalsh(root @ second.covariance @ root)
    cross = np.sqrt(np.clip(between, 0, None)).sum()
    step = first.mean - second.mean
    return float(step @ step + np.trace(first.covariance) + np.trace(second.covariance) - 2 * cross)


class KernelDistance(NamedTuple):
    """Mean and standard deviation over subsets."""

    mean: float
    deviation: float


def kernel_distance(real: Array, fake: Array, subsets: int = 100, size: int = 1000, seed: int = 0) -> KernelDistance:
    """Return the Kernel Inception Distance of features (N, D) and (M, D) (Binkowski et al., ICLR 2018).

    The unbiased squared maximum mean discrepancy with the kernel (x y / D + 1)^3, over random subsets of `size` features, or of
    all if there are fewer. It may be negative. Raises UserError for fewer than two features or different D.
    """
    _check(real, fake, 2)
    count = min(size, len(real), len(fake))
    random = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        x, y = (features[random.choice(len(features), count, replace=False)] for features in (real, fake))
        values.append(polynomial_discrepancy(x, y))
    return KernelDistance(float(np.mean(values)), float(np.std(values)))


def polynomial_discrepancy(x: Array, y: Array) -> float:
    """Return the unbiased squared maximum mean discrepancy of (N, D) and (M, D) with the kernel (x y / D + 1)^3."""
    within = 0.0
    for one in (x, y):
        kernel = _polynomial(one, one)
        within += (kernel.sum() - np.trace(kernel)) / (len(one) * (len(one) - 1))
    return float(within - 2 * _polynomial(x, y).mean())


def _polynomial(x: Array, y: Array) -> Array:
    return (x @ y.T / x.shape[1] + 1) ** 3


class PrecisionRecall(NamedTuple):
    """precision: fraction of generated samples in the real manifold. recall: of real samples in the generated manifold."""

    precision: float
    recall: float


def precision_recall(real: Array, fake: Array, neighbors: int = 3) -> PrecisionRecall:
    """Return the improved precision and recall of features (N, D) and (M, D) (Kynkaanniemi et al., NeurIPS 2019).

    A sample is in the manifold of a set if it is within the distance of some member to that member's k-th neighbour. Distances
    are computed in blocks of rows to limit memory. Raises UserError for at most `neighbors` features or different D.
    """
    _check(real, fake, neighbors + 1)
    return PrecisionRecall(_covered(fake, real, neighbors), _covered(real, fake, neighbors))


def _covered(samples: Array, among: Array, neighbors: int) -> float:
    # The nearest neighbour is the sample itself.
    radii = np.concatenate([np.partition(rows, neighbors, 1)[:, neighbors] for rows in _distances(among, among)])
    return float(np.concatenate([(rows <= radii).any(1) for rows in _distances(samples, among)]).mean())


def _distances(x: Array, y: Array) -> Iterator[Array]:
    return (cdist(x[start : start + _ROWS], y) for start in range(0, len(x), _ROWS))


def _check(real: Array, fake: Array, least: int) -> None:
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise UserError(f"features must come from one network: {real.shape} against {fake.shape}")
    if min(len(real), len(fake)) < least:
        raise UserError(
            f"at least {least} features of each set are needed, got {len(real)} real and {len(fake)} generated ones"
        )

"""Means and differences under crossed random effects of scenes and seeds, with Satterthwaite's degrees of freedom.

The value of scene i under seed j is modelled as mean + scene_i + seed_j + residual_ij, where scenes and seeds are drawn at
random. All seeds share the scenes, so both contribute to the uncertainty of a mean, and a larger sample of one does not
compensate for a small sample of the other. Two entries share the scenes but not the seeds: the uncertainty of their difference
comes from the per-scene differences and from the seeds of each entry.

Sources: Searle, Casella, McCulloch, Variance Components, 1992 (Henderson's method III for missing cells); Satterthwaite, An
Approximate Distribution of Estimates of Variance Components, Biometrics Bulletin 1946.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

Array = NDArray[np.float64]
# Student's t distribution comes from scipy.special (stdtr and its quantile stdtrit): importing scipy.stats takes half a second.
# Relative differences below this are treated as rounding, as between runs of a deterministic method.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Layout:
    """The fit of E entries on the same S scenes.

    scenes: (E, S) value of each scene with the seed effects removed. seeds: (E,) number of seeds. seed_square, error_square:
    (E,) mean squares; NaN for a single seed. balance: (E,) the expectation of seed_square is balance * seed variance + error
    variance.
    """

    scenes: Array
    seeds: NDArray[np.int64]
    seed_square: Array
    error_square: Array
    balance: Array

    @property
    def mean(self) -> Array:
        """(E,) the mean over scenes and seeds."""
        return np.asarray(self.scenes.mean(-1), np.float64)

    @property
    def seed_variance(self) -> Array:
        """(E,) the variance between seeds, at least 0; NaN for a single seed."""
        return np.maximum(self.seed_square - self.error_square, 0.0) / self.balance

    def take(self, index: ArrayLike) -> "Layout":
        """Return the layout of the entries at (N,) indices."""
        return Layout(*(value[np.asarray(index)] for value in vars(self).values()))


@dataclass(frozen=True)
class Estimate:
    """(E,) estimates with their standard errors and degrees of freedom; NaN where the design does not determine them."""

    value: Array
    error: Array
    freedom: Array

    def interval(self, level: float = 0.95) -> tuple[Array, Array]:
        """Return the confidence interval as (low, high), each (E,)."""
        half = stdtrit(self.freedom, (1 + level) / 2) * self.error
        return self.value - half, self.value + half

    def p_value(self) -> Array:
        """Return (E,) two-sided p-values of the hypothesis that the value is 0."""
        with np.errstate(invalid="ignore", divide="ignore"):
            statistic = np.where(self.value == 0, 0.0, np.abs(self.value) / self.error)
        found = 2 * stdtr(self.freedom, -statistic)
        return np.where(np.isnan(self.error), np.nan, found)

    def smallest_gap(self, level: float = 0.95, power: float = 0.8) -> Array:
        """Return (E,) the smallest true value that this design finds significant with a probability of `power`.

        Source: Bloom, Minimum Detectable Effects, Evaluation Review 1995.
        """
        quantiles = stdtrit(self.freedom, (1 + level) / 2) + stdtrit(self.freedom, power)
        return np.asarray(quantiles * self.error, np.float64)


def fit(cells: ArrayLike) -> Layout:
    """Return the layout of (E, K, S) values of K seeds on S scenes; NaN marks a missing cell.

    Raises ValueError if a scene or a seed has no value, or if the effects of scenes and seeds cannot be separated, for
    instance when each seed covers different scenes.
    """
    values = np.asarray(cells, np.float64)
    whole = np.atleast_1d(~np.isnan(values).any((-1, -2)))
    if whole.all():
        return _fit_whole(values)
    parts = [_fit_whole(one[None]) if full else _fit_missing(one) for one, full in zip(values, whole)]
    return stack(parts)


def stack(layouts: list[Layout]) -> Layout:
    """Concatenate layouts over the same scenes into one."""
    return Layout(*(np.concatenate([getattr(one, name) for one in layouts]) for name in Layout.__dataclass_fields__))


def mean(layout: Layout) -> Estimate:
    """Return the mean of each entry. A single seed omits the variance over seeds, a single scene that over scenes."""
    return _estimate(layout.scenes, [_seed_term(layout)])


def difference(first: Layout, second: Layout) -> Estimate:
    """Return first - second, entry by entry, on the same scenes.

    An entry with a single seed is assumed to vary over seeds as much as the other one; if both have one, seeds are left out.
    """
    return _estimate(first.scenes - second.scenes, _seed_terms_of_two(first, second))


def spread(first: Layout, second: Layout) -> Array:
    """Return (E,) the standard deviation of the difference between two entries on one scene with one seed each.

    A difference divided by it is the effect size (Cohen's d of paired values).
    """
    scenes = first.scenes - second.scenes
    total = scenes.var(-1, ddof=1) if scenes.shape[-1] > 1 else np.zeros(len(scenes))
    for one in (first, second):
        residual = np.nan_to_num(one.error_square)
        total = total + np.nan_to_num(one.seed_variance) + residual * (1 - 1 / one.seeds)
    return np.sqrt(total)


def _fit_whole(values: Array) -> Layout:
    entries, seeds, scenes = values.shape
    by_scene, by_seed = values.mean(1), values.mean(2)
    rest = values - by_scene[:, None] - by_seed[:, :, None] + by_scene.mean(-1)[:, None, None]
    unknown = np.full(entries, np.nan)
    tiny = ROUNDING * np.abs(values).max((1, 2), initial=0.0)
    seed_square = scenes * _cleaned(by_seed.var(1, ddof=1), tiny) if seeds > 1 else unknown
    freedom = (seeds - 1) * (scenes - 1)
    error_square = _cleaned((rest**2).sum((1, 2)) / freedom, tiny) if freedom else np.where(seeds > 1, 0.0, unknown)
    return Layout(by_scene, np.full(entries, seeds), seed_square, error_square, np.full(entries, float(scenes)))


def _cleaned(square: Array, tiny: Array) -> Array:
    return np.where(square <= tiny**2, 0.0, square)


def _fit_missing(values: Array) -> Layout:
    """Fit one (K, S) table with missing cells by least squares, eliminating the scene effects first."""
    known = ~np.isnan(values)
    filled, per_scene, per_seed = np.where(known, values, 0.0), known.sum(0), known.sum(1)
    if not per_scene.all() or not per_seed.all():
        raise ValueError("a scene or a seed has no value")
    seeds, scenes = values.shape
    weights = known / per_scene
    normal = np.diag(per_seed.astype(float)) - weights @ known.T
    if np.linalg.matrix_rank(normal) < seeds - 1:
        raise ValueError("the effects of scenes and seeds cannot be separated: seeds cover different scenes")
    right = filled.sum(1) - weights @ filled.sum(0)
    # The effects sum to 0 because the null space of the normal matrix is a common shift.
    effects = np.linalg.pinv(normal) @ right
    by_scene = ((filled - effects[:, None]) * known).sum(0) / per_scene
    rest = np.where(known, values - effects[:, None] - by_scene, 0.0)
    freedom = int(known.sum()) - scenes - seeds + 1
    tiny = ROUNDING * np.abs(filled).max(keepdims=True)[0]
    error = _cleaned((rest**2).sum(keepdims=True)[0] / freedom, tiny) if freedom else np.zeros(1)
    square = _cleaned(np.atleast_1d(effects @ right) / (seeds - 1), tiny) if seeds > 1 else np.full(1, np.nan)
    balance = np.trace(normal) / (seeds - 1) if seeds > 1 else float(scenes)
    error = error if seeds > 1 else np.full(1, np.nan)
    return Layout(by_scene[None], np.array([seeds]), square, error, np.array([balance]))


@dataclass(frozen=True)
class _Term:
    """Contribution of the seeds to a variance: estimate, mean square, degrees of freedom, and whether it is known."""

    variance: Array
    square: Array
    freedom: Array
    known: NDArray[np.bool_]


def _seed_term(layout: Layout, share: Array | None = None) -> _Term:
    share = 1 / layout.seeds if share is None else share
    variance, square = layout.seed_variance * share, layout.seed_square / layout.balance * share
    freedom = np.maximum(layout.seeds - 1, 1).astype(float)
    return _Term(np.nan_to_num(variance), np.nan_to_num(square), freedom, layout.seeds > 1)


def _seed_terms_of_two(first: Layout, second: Layout) -> list[_Term]:
    both = 1 / first.seeds + 1 / second.seeds
    share_of = [np.where(other.seeds == 1, both, 1 / own.seeds) for own, other in ((first, second), (second, first))]
    return [_seed_term(one, share) for one, share in zip((first, second), share_of)]


def _estimate(scenes: Array, terms: list[_Term]) -> Estimate:
    value, count = scenes.mean(-1), scenes.shape[-1]
    tiny = ROUNDING * np.abs(scenes).max(-1, initial=0.0)
    of_scenes = _cleaned(scenes.var(-1, ddof=1), tiny) / count if count > 1 else np.zeros(len(scenes))
    variance = of_scenes + sum(term.variance for term in terms)
    # With few seeds their variance is often underestimated, which must not be mistaken for certainty. So use the smaller of
    # two degrees of freedom: one from the variances as estimated, one with the seeds' mean square raised by its possible
    # relative error.
    raised = [term.square * ((term.freedom + 2) / term.freedom) ** 2 for term in terms]
    freedoms = [term.freedom for term in terms]
    freedom = np.minimum(
        _satterthwaite(of_scenes, count, [term.variance for term in terms], freedoms),
        _satterthwaite(of_scenes, count, raised, freedoms),
    )
    known = np.any([np.full(len(scenes), count > 1), *(term.known for term in terms)], axis=0)
    return Estimate(value, np.where(known & np.isfinite(value), np.sqrt(variance), np.nan), freedom)


def _satterthwaite(of_scenes: Array, count: int, parts: list[Array], freedoms: list[Array]) -> Array:
    most = max(count - 1, 1)
    below = sum((part**2 / freedom for part, freedom in zip(parts, freedoms)), of_scenes**2 / most)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = np.maximum((of_scenes + sum(parts)) ** 2 / below, 1.0)
    # If nothing varies, as between deterministic methods that differ by a constant, use the degrees of freedom of the scenes.
    return np.where(below > 0, freedom, most)

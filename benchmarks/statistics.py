"""Calibration of the leaderboard's confidence intervals and comparisons, by simulation.

Samples seeds x scenes from the crossed random effects model with several ratios of the variances of scenes, seeds and
residuals. Prints how often the 95 % interval contains the true mean, how often two equal methods are declared different, and
how often any two of six equal methods are, after Holm's correction.

    python -m deep3dmap.benchmarks.statistics [--draws N] [--seed N]
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from deep3dmap.cli.arguments import how_many
from deep3dmap.results import crossed
from deep3dmap.results.multiple_tests import holm

Array = NDArray[np.float64]
METHODS = 6
SEEDS, SCENES = (3, 5, 10), (8, 24, 100)
# Variances: difficulty of scenes, interaction of method and scene, seeds, residual.
RATIOS = {
    "scenes": (1.0, 0.05, 0.01, 0.05),
    "scenes, some seed": (1.0, 0.1, 0.1, 0.1),
    "seeds": (1.0, 0.1, 1.0, 0.1),
    "mostly seeds": (0.1, 0.05, 1.0, 0.1),
    "even": (1.0, 1.0, 1.0, 1.0),
    "residual": (0.1, 0.1, 0.1, 1.0),
    "seeds, residual": (0.25, 0.25, 1.0, 1.0),
    "scenes, residual": (1.0, 0.5, 0.05, 1.0),
    "no seed variance": (1.0, 0.2, 0.0, 0.2),
}


@dataclass(frozen=True)
class Figures:
    """Percentages: intervals that contain the mean, and pairs and families of six that are declared different."""

    ratio: str
    seeds: int
    scenes: int
    coverage: float
    pairs: float
    families: float


def draw(generator: np.random.Generator, ratio: str, draws: int, seeds: int, scenes: int) -> Array:
    """Return (draws, METHODS, seeds, scenes) values of equal methods with true mean 0."""
    shared, own, seed, rest = np.sqrt(RATIOS[ratio])
    normal = generator.standard_normal
    return np.asarray(
        shared * normal((draws, 1, 1, scenes))
        + own * normal((draws, METHODS, 1, scenes))
        + seed * normal((draws, METHODS, seeds, 1))
        + rest * normal((draws, METHODS, seeds, scenes))
    )


def measure(ratio: str, seeds: int, scenes: int, draws: int, seed: int = 0) -> Figures:
    """Simulate one design."""
    generator = np.random.default_rng([seed, list(RATIOS).index(ratio), seeds, scenes])
    held, p_values = [], []
    for begin in range(0, draws, 500):
        values = draw(generator, ratio, min(500, draws - begin), seeds, scenes)
        layouts = [crossed.fit(values[:, method]) for method in range(METHODS)]
        low, high = crossed.mean(layouts[0]).interval()
        held.append((low <= 0) & (high >= 0))
        pairs = [crossed.difference(one, other).p_value() for one, other in combinations(layouts, 2)]
        p_values.append(np.stack(pairs, 1))
    table = np.concatenate(p_values)
    families = np.mean([(holm(line) < 0.05).any() for line in table])
    # Use the first pair only, because pairs of the same draw share methods.
    share = [np.concatenate(held).mean(), (table[:, 0] < 0.05).mean(), families]
    return Figures(ratio, seeds, scenes, *(100 * float(value) for value in share))


def designs() -> Iterator[tuple[str, int, int]]:
    """Yield (ratio, seeds, scenes)."""
    yield from product(RATIOS, SEEDS, SCENES)


def main() -> None:
    """Print one line per design, followed by the extremes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=how_many, default=2000, help="simulated benchmarks per design")
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    print(f"{flags.draws} draws of {METHODS} equal methods each; percent")
    print(f"{'variance of':18} seeds scenes  coverage  pairs called different  any of {METHODS} called different")
    found = []
    for ratio, seeds, scenes in designs():
        one = measure(ratio, seeds, scenes, flags.draws, flags.seed)
        found.append(one)
        print(f"{ratio:18} {seeds:5} {scenes:6}  {one.coverage:8.1f}  {one.pairs:22.1f}  {one.families:25.1f}", flush=True)
    covered = [one.coverage for one in found]
    inside = sum(93 <= value <= 97 for value in covered)
    print(f"coverage {min(covered):.1f} to {max(covered):.1f}, within 93 to 97 in {inside} of {len(found)} designs")
    for name in ("pairs", "families"):
        values = [getattr(one, name) for one in found]
        print(f"{name}: {min(values):.1f} to {max(values):.1f}, at most 6 in {sum(v <= 6 for v in values)} of {len(found)}")


if __name__ == "__main__":
    main()

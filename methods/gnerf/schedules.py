"""Quantities that depend on the iteration: phase, image size, patch scale, density noise and rates. They have no state."""

import math
from dataclasses import dataclass
from typing import Literal

Phase = Literal["A", "ABAB", "B"]
LARGEST_MIN_SCALE = 0.8


@dataclass(frozen=True)
class Schedules:
    """The schedules of the paper and the official configuration.

    hybrid_from: last iteration of phase A, adversarial training only. refine_from: last iteration of the hybrid phase ABAB,
    which also refines poses; afterwards only refinement is done. first_size, hybrid_size: side of the images at the start and
    at `hybrid_from`. anneal: decay rate of the minimum scale of a patch. noise_until: iterations over which the density noise
    decreases from 1. generator_half, pose_half: iterations after which learning rates are halved.
    """

    hybrid_from: int = 12000
    refine_from: int = 20000
    first_size: int = 16
    hybrid_size: int = 128
    patch: int = 16
    anneal: float = 2e-4
    noise_until: int = 5000
    generator_half: int = 8000
    pose_half: int = 4000

    def phase(self, iteration: int) -> Phase:
        """Return the phase of an iteration, counted from 0."""
        return "A" if iteration <= self.hybrid_from else "ABAB" if iteration <= self.refine_from else "B"

    def image_size(self, iteration: int, width: int, height: int) -> tuple[int, int]:
        """Return width and height of the images at an iteration: square in phase A, then growing to `width` x `height`."""
        if iteration <= self.hybrid_from:
            side = self.first_size + (self.hybrid_size - self.first_size) * iteration // max(self.hybrid_from, 1)
            return side, side
        share = min(iteration, self.refine_from) - self.hybrid_from
        length = max(self.refine_from - self.hybrid_from, 1)
        return (
            self.hybrid_size + int((width - self.hybrid_size) * share / length),
            self.hybrid_size + int((height - self.hybrid_size) * share / length),
        )

    def min_scale(self, iteration: int, width: int, height: int) -> float:
        """Return the minimum extent of a patch as a fraction of the larger side of the final `width` x `height` images."""
        smallest = self.patch / max(width, height)
        return min(LARGEST_MIN_SCALE, max(smallest, math.exp(-self.anneal * iteration)))

    def noise(self, iteration: int) -> float:
        """Return the standard deviation of the density noise; its last value is kept, as in the official code."""
        return 1 - min(iteration, self.noise_until - 1) / self.noise_until

    def network_factor(self, iteration: int) -> float:
        """Return the learning rate factor of generator and discriminator."""
        return float(0.5 ** (iteration // self.generator_half))

    def pose_factor(self, iteration: int) -> float:
        """Return the learning rate factor of the inversion network and the pose table."""
        return float(0.5 ** (iteration // self.pose_half))

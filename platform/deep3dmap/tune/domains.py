"""Domains of search parameters: ranges of numbers, and choices of several values."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Numbers:
    """Real numbers from low to high. step: grid spacing (0 = continuous). log: equal ratios are equally likely."""

    low: float
    high: float
    log: bool = False
    step: float = 0.0

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log)
        if self.step < 0 or self.step > self.high - self.low:
            raise ValueError(f"the step {self.step:g} is not between 0 and {self.high - self.low:g}")

    def sample(self, generator: np.random.Generator) -> float:
        """Draw one value."""
        return self.from_unit(float(generator.random()))

    def from_unit(self, position: float) -> float:
        """Return the value at a position in the range, 0 at its low end and 1 at its high end."""
        if self.log:
            value = math.exp(math.log(self.low) + position * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + position * (self.high - self.low)
        if self.step:
            value = self.low + round((value - self.low) / self.step) * self.step
        return self.rounded(value)

    def rounded(self, value: float) -> float:
        """Return a value of the range, rounded to six significant digits for readability."""
        return min(max(float(f"{value:.6g}"), self.low), self.high)

    def contains(self, value: Any) -> bool:
        """Return whether a value is in the range."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def to_unit(self, value: Any) -> float:
        """Return the position of a value in the range, from 0 to 1."""
        return _to_unit(self.low, self.high, self.log, float(value))

    def values(self) -> None:
        """Return None, as the values cannot be enumerated."""

    def text(self) -> str:
        """Return the domain in its text form."""
        if self.step:
            return f"quniform({self.low:g}, {self.high:g}, {self.step:g})"
        return f"{'log' * self.log}uniform({self.low:g}, {self.high:g})"

    def to_tune(self) -> Any:
        """Return the domain for ray.tune."""
        from ray import tune

        if self.step:
            return tune.quniform(self.low, self.high, self.step)
        return tune.loguniform(self.low, self.high) if self.log else tune.uniform(self.low, self.high)


@dataclass(frozen=True)
class Integers:
    """Integers from low to high, inclusive. log: equal ratios are equally likely."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        if not all(float(bound).is_integer() for bound in (self.low, self.high)):
            raise ValueError("the bounds must be whole numbers")
        object.__setattr__(self, "low", int(self.low))
        object.__setattr__(self, "high", int(self.high))
        _check_range(self.low, self.high, self.log)

    def sample(self, generator: np.random.Generator) -> int:
        """Draw one value."""
        return self.from_unit(float(generator.random()))

    def from_unit(self, position: float) -> int:
        """Return the value at a position in the range, of which each value covers an equal part (of the ratios if log)."""
        if self.log:
            value = math.exp(math.log(self.low) + position * (math.log(self.high + 1) - math.log(self.low)))
        else:
            value = self.low + position * (self.high + 1 - self.low)
        return min(max(math.floor(value), self.low), self.high)

    def contains(self, value: Any) -> bool:
        """Return whether a value is in the range."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def to_unit(self, value: Any) -> float:
        """Return the position of a value in the range, from 0 to 1."""
        return _to_unit(self.low, self.high, self.log, float(value))

    def values(self) -> tuple[int, ...]:
        """Return all values."""
        return tuple(range(self.low, self.high + 1))

    def text(self) -> str:
        """Return the domain in its text form."""
        return f"{'log' * self.log}randint({self.low}, {self.high})"

    def to_tune(self) -> Any:
        """Return the domain for ray.tune, whose upper bound is exclusive."""
        from ray import tune

        return tune.lograndint(self.low, self.high + 1) if self.log else tune.randint(self.low, self.high + 1)


@dataclass(frozen=True)
class Choice:
    """One of several values. grid: they were written as a grid."""

    options: tuple[Any, ...]
    grid: bool = False

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError("there are no values to choose from")
        if len({repr(option) for option in self.options}) < len(self.options):
            raise ValueError("a value occurs twice")

    def sample(self, generator: np.random.Generator) -> Any:
        """Draw one value."""
        return self.options[int(generator.integers(len(self.options)))]

    def contains(self, value: Any) -> bool:
        """Return whether a value is one of the options."""
        return any(_equal(value, option) for option in self.options)

    def to_unit(self, value: Any) -> float:
        """Return the position of a value among the options, from 0 to 1."""
        index = next(i for i, option in enumerate(self.options) if _equal(value, option))
        return index / max(1, len(self.options) - 1)

    def values(self) -> tuple[Any, ...]:
        """Return all values."""
        return self.options

    def text(self) -> str:
        """Return the domain in its text form."""
        return f"{'grid' if self.grid else 'choice'}({', '.join(map(_format_value, self.options))})"

    def to_tune(self) -> Any:
        """Return the domain for ray.tune."""
        from ray import tune

        return tune.choice(list(self.options))


Domain = Numbers | Integers | Choice


def _format_value(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_format_value, value)) + "]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return value if isinstance(value, str) and value.isidentifier() else repr(value)


def _equal(one: Any, other: Any) -> bool:
    # 1 and True are equal in Python, but not as settings.
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _check_range(low: float, high: float, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"the lower bound {low:g} is not below the upper bound {high:g}")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range must start above 0, not at {low:g}")


def _to_unit(low: float, high: float, log: bool, value: float) -> float:
    if log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low)

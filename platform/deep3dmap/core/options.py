"""Fields of configuration dataclasses: default, one-line description, valid values and search range of a sweep."""

import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any

from deep3dmap.core.errors import UserError, nearest


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    log: bool = False,
    choices: tuple[Any, ...] = (),
    valid: str = "",
    length: int = 0,
) -> Any:
    """Declare a config field.

    low, high, log: the range that a sweep samples, and whether it is sampled logarithmically. choices: the only valid values.
    valid: the interval of valid numbers, such as "[0, 1)" or "(0, inf)"; for a list, it applies to each item. length: number of
    items of a list (0 = any). Invalid values are rejected before a run starts.
    """
    if valid:
        Interval.parse(valid)
    metadata = {"help": help, "low": low, "high": high, "log": log, "choices": choices, "valid": valid, "length": length}
    if isinstance(default, list | dict | set):
        return field(default_factory=lambda: default.copy(), metadata=metadata)
    return field(default=default, metadata=metadata)


def describe_options(config_type: type) -> list[tuple[str, str, Any, str]]:
    """Return (name, type, default, help) of every field of a config dataclass."""
    return [(f.name, _type_name(f), default_of(f), f.metadata.get("help", "")) for f in fields(config_type)]


def check_options(config_type: type, values: Mapping[str, Any], prefix: str = "", searched: bool = True) -> None:
    """Raise UserError for the first of `values` that violates the `choices`, `valid` or `length` of its field.

    prefix: prefix of the field's name on the command line. searched: whether `low` and `high` are the search range of a
    sweep; if not, as for a dataset, they are the limits of valid values.
    """
    for of in fields(config_type):
        if of.name not in values:
            continue
        value = values[of.name]
        if is_dataclass(of.type):
            inner = value if isinstance(value, Mapping) else vars(value)
            check_options(of.type, inner, f"{prefix}{of.name}.", searched)  # type: ignore[arg-type]
        else:
            _check(of, value, prefix + of.name, searched)


def ascending(config: Any, name: str) -> tuple[float, float]:
    """Return the two numbers of a method option that is a range; raises UserError if the first is greater than the second."""
    low, high = getattr(config, name)
    if low > high:
        raise UserError(f"method.{name} must be two numbers, the lower one first, got {[low, high]}")
    return low, high


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` to `high`; `with_low` and `with_high` specify whether the ends are included."""

    low: float
    high: float
    with_low: bool = True
    with_high: bool = True

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """Parse an interval such as "[0, 1)"; raises ValueError for an invalid one."""
        match = re.fullmatch(r"([\[(])\s*(\S+?)\s*,\s*(\S+?)\s*([\])])", text)
        if match is None:
            raise ValueError(f"'{text}' is not an interval such as '[0, 1)'")
        return cls(float(match[2]), float(match[3]), match[1] == "[", match[4] == "]")

    def __contains__(self, value: float) -> bool:
        above = value >= self.low if self.with_low else value > self.low
        return math.isfinite(value) and above and (value <= self.high if self.with_high else value < self.high)

    def __str__(self) -> str:
        low = f"{'at least' if self.with_low else 'more than'} {self.low:g}" if math.isfinite(self.low) else ""
        high = f"{'at most' if self.with_high else 'less than'} {self.high:g}" if math.isfinite(self.high) else ""
        return " and ".join(filter(None, (low, high))) or "finite"


def _check(of: "Field[Any]", value: Any, name: str, searched: bool) -> None:
    choices, interval, length = of.metadata.get("choices"), _interval(of, searched), of.metadata.get("length")
    if length and len(value) != length:
        raise UserError(f"{name}={value}: expects {length} values, got {len(value)}")
    for item in value if isinstance(value, list | tuple) else [value]:
        if choices and item not in choices and item is not None:
            raise UserError(f"{name}={item}: not a valid value{nearest(str(item), map(str, choices))}")
        is_number = isinstance(item, int | float) and not isinstance(item, bool)
        if interval and is_number and item not in interval:
            raise UserError(f"{name}={value}: must be {interval}")


def _interval(of: "Field[Any]", searched: bool) -> Interval | None:
    if of.metadata.get("valid"):
        return Interval.parse(of.metadata["valid"])
    low, high = of.metadata.get("low"), of.metadata.get("high")
    if searched or (low is None and high is None):
        return None
    return Interval(-math.inf if low is None else low, math.inf if high is None else high)


def _type_name(of: "Field[Any]") -> str:
    return of.type if isinstance(of.type, str) else getattr(of.type, "__name__", str(of.type))


def default_of(of: "Field[Any]") -> Any:
    """Return the default of a dataclass field, newly created if it has a factory; MISSING if it has no default."""
    return of.default_factory() if of.default_factory is not MISSING else of.default

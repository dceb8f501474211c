"""Published values, listed by a suite and shown alongside measured results without being ranked among them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from deep3dmap.core.errors import UserError, unknown
from deep3dmap.results.entries import Group

# Reasons why a value may differ from one measured here.
GAPS = {
    "model": "different model from the one used here",
    "protocol": "measured with a different protocol",
    "data": "different data",
    "budget": "different training budget",
    "untested": "same model, protocol and data as far as is known, but not run here",
}


@dataclass(frozen=True)
class Quoted:
    """A published value.

    dataset: the dataset on whose boards it is shown. gap: one of GAPS, relative to that dataset. data, protocol: what it was
    measured on, and how.
    """

    method: str
    metric: str
    value: float
    dataset: str
    gap: str
    source: str
    data: str
    protocol: str

    @property
    def shown(self) -> str:
        """The value with its published digits."""
        return f"{self.value:.10g}"

    @property
    def provenance(self) -> str:
        """Source of the value and how it differs from the values on the board, in words."""
        return f"{self.source}; {self.data}; {self.protocol}; {GAPS[self.gap]}"


def read_quoted(listed: Any, where: str) -> list[Quoted]:
    """Parse the list `quoted` of a suite.yaml, in which `gap` is {dataset: gap}; raises UserError for invalid entries.

    where: name of the file, for error messages.
    """
    if not isinstance(listed, list):
        raise UserError(f"{where}: quoted must be a list")
    return [one for number, entry in enumerate(listed, 1) for one in _read(entry, f"{where}: quoted value {number}")]


def _read(entry: Any, where: str) -> Iterable[Quoted]:
    names = {field.name for field in fields(Quoted)} - {"dataset"}
    if not isinstance(entry, Mapping) or set(entry) != names:
        raise UserError(f"{where}: the fields must be {', '.join(sorted(names))}")
    if isinstance(entry["value"], bool) or not isinstance(entry["value"], int | float):
        raise UserError(f"{where}: value={entry['value']}: must be a number")
    if not isinstance(entry["gap"], Mapping) or not entry["gap"]:
        raise UserError(f"{where}: gap must map each dataset to how the value differs from those measured on it")
    for dataset, gap in entry["gap"].items():
        if gap not in GAPS:
            raise unknown(f"gap in {where}", str(gap), GAPS)
        yield Quoted(**{**entry, "value": float(entry["value"]), "dataset": str(dataset), "gap": str(gap)})


def as_page(quoted: Iterable[Quoted]) -> list[dict[str, Any]]:
    """Return plain data, as stored in a suite's page."""
    return [asdict(one) for one in quoted]


def quoted_of(page: Mapping[str, Any], dataset: str, metric: str) -> tuple[Quoted, ...]:
    """Return the quoted values to show on a board. page: its suite's page from `ResultStore.cards("suite")`."""
    return tuple(Quoted(**one) for one in page.get("quoted", ()) if (one["dataset"], one["metric"]) == (dataset, metric))


# Quoted values by (group, metric).
QuotedValues = Mapping[tuple[Group, str], Sequence[Quoted]]
NO_QUOTED_VALUES: QuotedValues = {}

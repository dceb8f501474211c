"""Values that others have published: listed by a suite, and shown beside what was measured here, never among it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from deep3dmap.core.errors import UserError, unknown
from deep3dmap.results.entries import Group

# Why a value may differ from one that is measured here.
GAPS = {
    "model": "of another model than the one here",
    "protocol": "measured by another protocol",
    "data": "of other data",
    "budget": "of another budget of training",
    "untested": "the same model, protocol and data, as far as is known; not run here",
}


@dataclass(frozen=True)
class Quoted:
    """A published value. dataset: the one whose boards it stands beside. data, protocol: what it was measured on, and how.

    gap: one of GAPS, as seen from that dataset.
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
        """The value with the digits it was published with."""
        return f"{self.value:.10g}"

    @property
    def provenance(self) -> str:
        """Where it comes from and what separates it from the values of the board, in words."""
        return f"{self.source}; {self.data}; {self.protocol}; {GAPS[self.gap]}"


def read_quoted(listed: Any, where: str) -> list[Quoted]:
    """Read the list `quoted` of a suite.yaml, in which `gap` is {dataset: gap}; raises UserError naming what is wrong.

    where: the file.
    """
    if not isinstance(listed, list):
        raise UserError(f"{where}: quoted is a list")
    return [one for number, entry in enumerate(listed, 1) for one in _read(entry, f"{where}: quoted value {number}")]


def _read(entry: Any, where: str) -> Iterable[Quoted]:
    names = {field.name for field in fields(Quoted)} - {"dataset"}
    if not isinstance(entry, Mapping) or set(entry) != names:
        raise UserError(f"{where}: the fields are {', '.join(sorted(names))}")
    if isinstance(entry["value"], bool) or not isinstance(entry["value"], int | float):
        raise UserError(f"{where}: value={entry['value']}: a number was expected")
    if not isinstance(entry["gap"], Mapping) or not entry["gap"]:
        raise UserError(f"{where}: gap says for each dataset what separates the value from those measured on it")
    for dataset, gap in entry["gap"].items():
        if gap not in GAPS:
            raise unknown(f"gap in {where}", str(gap), GAPS)
        yield Quoted(**{**entry, "value": float(entry["value"]), "dataset": str(dataset), "gap": str(gap)})


def as_page(quoted: Iterable[Quoted]) -> list[dict[str, Any]]:
    """Return plain data, as a suite's page in a store keeps it."""
    return [asdict(one) for one in quoted]


def quoted_of(page: Mapping[str, Any], dataset: str, metric: str) -> tuple[Quoted, ...]:
    """Return the values that stand beside a board. page: of its suite, as `ResultStore.cards("suite")` has it."""
    return tuple(Quoted(**one) for one in page.get("quoted", ()) if (one["dataset"], one["metric"]) == (dataset, metric))


# By group and metric, as rows are grouped.
Beside = Mapping[tuple[Group, str], Sequence[Quoted]]
NOTHING: Beside = {}

"""The entries of a group, with the facts about them that do not depend on the metric."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from deep3dmap.results.cells import MetricValues
from deep3dmap.results.entries import Entry, Group, RunColumns
from deep3dmap.results.row_facts import Costs, costs, failures, missing_scenes, notes


@dataclass(frozen=True)
class Contenders:
    """The entries of one group.

    values: of the group's runs, under all metrics. page: the suite's page in the store. baselines: names of baseline methods.
    """

    group: Group
    entries: list[Entry]
    values: MetricValues
    runs: RunColumns
    page: dict[str, Any] = field(default_factory=dict)
    baselines: frozenset[str] = frozenset()

    @property
    def card(self) -> dict[str, Any]:
        """The suite's card, empty if the store has none."""
        found: dict[str, Any] = self.page.get("card", {})
        return found

    @cached_property
    def metrics(self) -> list[str]:
        """Metrics with values: those on the card in its order, then the others; only the headline if nothing was scored."""
        found = self.values.present()
        in_order = [item["name"] for item in self.card.get("metrics", ()) if item["name"] in found]
        return in_order + [name for name in found if name not in in_order] or [self.card.get("headline", "")]

    @cached_property
    def tested(self) -> list[set[str]]:
        """For each entry, the scenes that its finished runs were scored on under any metric."""
        number = np.full(len(self.runs), len(self.entries))
        for place, entry in enumerate(self.entries):
            number[self.runs.finished(entry.places)] = place
        names = self.values.scene_names
        # The last row collects runs that are not part of an entry or did not finish.
        scored = np.zeros((len(self.entries) + 1, len(names)), bool)
        scored[number[self.values.run], self.values.scene] = True
        return [{names[place] for place in np.flatnonzero(own)} - {""} for own in scored[:-1]]

    @cached_property
    def scenes(self) -> list[str]:
        """All scenes that any entry was scored on or that its single-scene runs targeted, sorted."""
        return sorted(set().union(*self.tested, *(missing_scenes(entry, self.runs) for entry in self.entries)))

    @cached_property
    def costs(self) -> list[Costs]:
        """Costs of each entry's runs."""
        return [costs(entry, self.runs) for entry in self.entries]

    @cached_property
    def errors(self) -> list[str]:
        """For each entry, the status and last error line of its newest unsuccessful run."""
        return [error for _, error in self._failures]

    @cached_property
    def facts(self) -> list[dict[str, Any]]:
        """The fields of each entry's row that do not depend on the metric."""
        return [
            {
                **vars(self.group),
                "method": entry.method,
                "variant": entry.variant,
                "is_baseline": entry.method in self.baselines,
                "inputs": tuple(self.runs["inputs"][entry.places[-1]]),
                "all_scenes": len(self.scenes),
                "failed": failed,
                "note": notes(entry, self.runs),
                "is_cut_short": not entry.is_whole,
                "run_ids": tuple(self.runs["run_id"][entry.places].tolist()),
            }
            for entry, (failed, _) in zip(self.entries, self._failures)
        ]

    @cached_property
    def _failures(self) -> list[tuple[int, str]]:
        return [failures(entry, self.runs) for entry in self.entries]

"""Registries over entry points: how methods, datasets and suites, ours or a third party's, are found by name."""

from functools import cached_property
from importlib import import_module, resources
from importlib.metadata import EntryPoint, entry_points
from importlib.resources.abc import Traversable
from typing import Any

from deep3dmap.core.errors import UserError, unknown


class Registry:
    """The names registered under one entry-point group. Listing names imports nothing."""

    def __init__(self, group: str, kind: str) -> None:
        self.group, self.kind = group, kind
        self._added: dict[str, Any] = {}

    @cached_property
    def _entries(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=self.group)}

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted({*self._entries, *self._added})

    def add(self, name: str, symbol: Any) -> None:
        """Register a class from Python, for notebooks and tests; entry points are the way for packages."""
        if self._added.get(name, symbol) is not symbol or name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is registered already")
        self._added[name] = symbol

    def load(self, name: str) -> Any:
        """Import and return the class of a registered name, or of `module:Class`, which needs no registration.

        Raises UserError for an unknown name or one that does not import.
        """
        if name in self._added:
            return self._added[name]
        try:
            if ":" in name:
                module, _, symbol = name.partition(":")
                return getattr(import_module(module), symbol)
            return self.entry(name).load()
        except (ImportError, AttributeError) as error:
            raise UserError(f"{self.kind} '{name}' is registered but does not import: {error}") from error

    def entry(self, name: str) -> EntryPoint:
        """Return the entry point; raises UserError for an unknown name."""
        if name not in self._entries:
            raise unknown(self.kind, name, self.names())
        return self._entries[name]

    def file(self, name: str, filename: str) -> Traversable | None:
        """Return a file that lies beside the class (config.yaml, suite.yaml, README.md), or None. Imports the package only."""
        if name in self._added or ":" in name:
            package = self.load(name).__module__.rpartition(".")[0]
        else:
            package = self.entry(name).module.rpartition(".")[0]
        if not package:
            return None
        found = resources.files(package) / filename
        return found if found.is_file() else None


methods = Registry("deep3dmap.methods", "method")
datasets = Registry("deep3dmap.datasets", "dataset")
suites = Registry("deep3dmap.suites", "suite")

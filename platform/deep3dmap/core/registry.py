"""Registries of methods, datasets and suites, built-in or third-party, looked up by name through entry points."""

from functools import cached_property
from importlib import import_module, resources
from importlib.metadata import EntryPoint, entry_points
from importlib.resources.abc import Traversable
from typing import Any

from deep3dmap.core.errors import UserError, describe_error, nearest, unknown


class Registry:
    """The names registered under one entry-point group. Listing names does not import anything."""

    def __init__(self, group: str, kind: str, needs: tuple[str, ...] = ()) -> None:
        self.group, self.kind, self.needs = group, kind, needs
        self._added: dict[str, Any] = {}

    @cached_property
    def _entries(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=self.group)}

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted({*self._entries, *self._added})

    def add(self, name: str, symbol: Any) -> None:
        """Register a class at runtime, for notebooks and tests; packages should use entry points."""
        if self._added.get(name, symbol) is not symbol or name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is already registered")
        self._added[name] = symbol

    def check(self, name: str) -> None:
        """Raise UserError for an unregistered name, without importing; `module:Class` does not need registration."""
        if ":" not in name and name not in self._added:
            self.entry(name)

    def load(self, name: str) -> Any:
        """Import and return the class for a registered name, or for `module:Class`, which does not need registration.

        Raises UserError for an unknown name, a failed import, or a class that lacks attributes required for its kind.
        """
        if name in self._added:
            return self._added[name]
        module, _, symbol = name.partition(":") if ":" in name else self.entry(name).value.partition(":")
        loaded = self._import(name, module.strip(), symbol.strip())
        missing = [attribute for attribute in self.needs if not hasattr(loaded, attribute)]
        if missing:
            raise UserError(
                f"{self.kind} '{name}': {module}:{symbol} has no {' and no '.join(missing)}, so it is not a {self.kind}"
            )
        return loaded

    def provider(self, name: str) -> str:
        """Return the name of the package that registers `name`."""
        distribution = self.entry(name).dist
        return distribution.name if distribution else "its package"

    def _import(self, name: str, module: str, symbol: str) -> Any:
        try:
            found: Any = import_module(module)
        except (Exception, SystemExit) as error:  # a third-party module may raise anything while it is imported
            raise UserError(f"{self.kind} '{name}' {_why(error, module)}") from error
        for part in symbol.split("."):
            if not hasattr(found, part):
                classes = [key for key, value in vars(found).items() if isinstance(value, type)]
                raise UserError(
                    f"{self.kind} '{name}': there is no '{part}' in {getattr(found, '__file__', None) or module}"
                    f"{nearest(part, classes)}"
                )
            found = getattr(found, part)
        return found

    def entry(self, name: str) -> EntryPoint:
        """Return the entry point; raises UserError for an unknown name."""
        if name not in self._entries:
            raise unknown(self.kind, name, self.names())
        return self._entries[name]

    def file(self, name: str, filename: str) -> Traversable | None:
        """Return a file next to the class (config.yaml, suite.yaml, README.md), or None. Imports only the class's package."""
        if name in self._added or ":" in name:
            package = self.load(name).__module__.rpartition(".")[0]
        else:
            package = self.entry(name).module.rpartition(".")[0]
        if not package:
            return None
        found = resources.files(package) / filename
        return found if found.is_file() else None


def _why(error: BaseException, module: str) -> str:
    absent = error.name if isinstance(error, ModuleNotFoundError) else None
    if absent and (module == absent or module.startswith(absent + ".")):
        return f"cannot be found: there is no module '{absent}', neither installed nor in the current folder"
    return f"cannot be imported: {describe_error(error)}"


methods = Registry("deep3dmap.methods", "method", ("card", "config_type"))
datasets = Registry("deep3dmap.datasets", "dataset", ("card", "config_type"))
suites = Registry("deep3dmap.suites", "suite", ("card",))

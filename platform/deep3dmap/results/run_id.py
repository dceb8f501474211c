"""Content-addressed run ids: the same key gives the same id on every machine, so stores can be united."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any


@dataclass(frozen=True)
class RunKey:
    """Everything that decides a run's numbers."""

    suite: str
    protocol_version: int
    tier: str
    method: str
    variant: str
    method_version: str
    config: Mapping[str, Any]
    dataset: str
    dataset_version: str
    seed: int

    @property
    def run_id(self) -> str:
        """The first 16 hexadecimal digits of the key's SHA-256."""
        return content_hash(asdict(self))


def content_hash(value: Any) -> str:
    """Hash plain data through its canonical JSON; raises TypeError for anything else."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


@cache
def code_version(module: str, native: str | None = None) -> str:
    """Hash the Python and YAML sources of the package a module is in, and the native build. Works from a wheel, without git.

    A module that is in no package is hashed alone.
    """
    digest = hashlib.sha256((native or "").encode())
    package = module.rpartition(".")[0]
    for path, source in _sources(package) if package else _single(module):
        digest.update(path.encode() + b"\0" + source + b"\0")
    return digest.hexdigest()[:12]


def _sources(package: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []

    def walk(folder: Traversable, prefix: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir() and entry.name != "__pycache__":
                walk(entry, f"{prefix}{entry.name}/")
            elif entry.name.endswith((".py", ".yaml")):
                found.append((prefix + entry.name, entry.read_bytes()))

    walk(resources.files(package), "")
    return sorted(found)


def _single(module: str) -> list[tuple[str, bytes]]:
    import importlib
    import inspect

    return [(module, inspect.getsource(importlib.import_module(module)).encode())]

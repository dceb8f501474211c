"""Content-addressed run ids: a key has the same id on every machine, so stores can be merged."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class RunKey:
    """Everything that determines a run's results."""

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
    """Return a hash of plain data based on its canonical JSON; raises TypeError for anything else."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]

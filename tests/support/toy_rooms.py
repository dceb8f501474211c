"""A suite that does not score anything, and compares surfaces like the default."""

from pathlib import Path
from typing import Any

from deep3dmap.core import Evaluation, MetricCard, Protocol, Reconstruction, SuiteCard, Task


class RoomProtocol(Protocol):
    """A suite that expects a mesh."""

    card = SuiteCard("Room", 1, Task("room", ("images",), ("mesh",), ""), (MetricCard("size", "", "up", ""),), "size", "")

    def begin(self) -> Evaluation:
        raise NotImplementedError

    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        return []

"""A suite that scores nothing and compares surfaces as the default does."""

from pathlib import Path
from typing import Any

from deep3dmap.core import Evaluation, MetricCard, Protocol, Reconstruction, SuiteCard, Task


class RoomProtocol(Protocol):
    """Asks for a mesh."""

    card = SuiteCard("Room", 1, Task("room", ("images",), ("mesh",), ""), (MetricCard("size", "", "up", ""),), "size", "")

    def begin(self) -> Evaluation:
        raise NotImplementedError

    def pictures(self, reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
        return []

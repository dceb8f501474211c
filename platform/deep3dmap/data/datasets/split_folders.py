"""Folders of a generated dataset: one per split and an optional one for shared data, generated when needed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deep3dmap.core.dataset import Preparation
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.data.cache import build_folder


@dataclass(frozen=True)
class SplitFolders:
    """Locations of the splits of dataset `name` and functions that generate them.

    root: a folder named by everything but the split sizes, so that datasets that differ in one split share the others.
    counts: number of samples per split. seconds: approximate generation time per sample on one core. write_split(split,
    folder, workers, quiet), write_shared(folder): generate the folders, which appear atomically.
    """

    name: str
    root: Path
    counts: Mapping[str, int]
    seconds: float
    write_split: Callable[[str, Path, int, bool], None]
    write_shared: Callable[[Path], None] | None = None

    def place(self, split: str) -> Path:
        """Return the folder of a split, whether or not it exists."""
        return self.root / f"{split}_{self.counts[split]}"

    def split(self, name: str) -> Path:
        """Return the folder of a split; raises UserError for an unknown split or one that has not been generated yet."""
        if name not in self.counts:
            raise unknown(f"split of {self.name}", name, tuple(self.counts))
        return self._require_folder(self.place(name), f"the {name} split of {self.name}")

    def shared(self) -> Path:
        """Return the folder of the data shared by all splits; raises UserError if it has not been generated yet."""
        return self._require_folder(self.root / "shared", f"the model of {self.name}")

    def missing(self, splits: Sequence[str] | None = None) -> list[Preparation]:
        """List what `prepare` would generate."""
        absent = [split for split in self._select_splits(splits) if not self.place(split).is_dir()]
        return [
            Preparation(f"{self.name} ({split})", self.counts[split], self.counts[split] * self.seconds) for split in absent
        ]

    def prepare(self, workers: int, quiet: bool, splits: Sequence[str] | None = None) -> None:
        """Generate the missing splits among `splits`, None = all."""
        if self.write_shared:
            build_folder(self.root / "shared", self.write_shared)
        for split in self._select_splits(splits):
            # build_folder calls the lambda within this iteration.
            build_folder(self.place(split), lambda folder: self.write_split(split, folder, workers, quiet))  # noqa: B023

    def _select_splits(self, splits: Sequence[str] | None) -> list[str]:
        for name in splits or ():
            if name not in self.counts:
                raise unknown(f"split of {self.name}", name, tuple(self.counts))
        return [name for name in self.counts if splits is None or name in splits]

    def _require_folder(self, folder: Path, description: str) -> Path:
        if not folder.is_dir():
            raise UserError(f"{description} is not made yet; run: deep3dmap data prepare {self.name} (or call prepare())")
        return folder

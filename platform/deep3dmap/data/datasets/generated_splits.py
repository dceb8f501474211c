"""Base class of datasets that are generated split by split."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from deep3dmap.core.dataset import Preparation
from deep3dmap.data.content_hash import hash_data
from deep3dmap.data.datasets.split_folders import SplitFolders


class GeneratedSplits(ABC):
    """A dataset stored in `SplitFolders`, under a root named by a hash of its settings and of the generating code."""

    @property
    @abstractmethod
    def _folders(self) -> SplitFolders: ...

    @property
    def root(self) -> Path:
        """Folder of all splits, named by a hash of the settings (except split sizes) and of the generating code."""
        return self._folders.root

    def missing(self, splits: Sequence[str] | None = None) -> list[Preparation]:
        """List what `prepare` would generate."""
        return self._folders.missing(splits)

    def prepare(self, workers: int = 1, quiet: bool = True, splits: Sequence[str] | None = None) -> None:
        """Generate the missing splits among `splits` (None = all) in `workers` processes."""
        self._folders.prepare(workers, quiet, splits)

    def folder(self, split: str) -> Path:
        """Return the folder of a split; raises UserError if it has not been generated yet."""
        return self._folders.split(split)

    @property
    def version(self) -> str:
        """Hash of the settings, of the generating code and of the split sizes."""
        return hash_data([self.root.name, dict(self._folders.counts)])

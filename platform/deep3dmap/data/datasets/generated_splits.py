"""What datasets that are generated split by split have in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from deep3dmap.core.dataset import Preparation
from deep3dmap.data.content_hash import hash_data
from deep3dmap.data.datasets.split_folders import SplitFolders


class GeneratedSplits(ABC):
    """A dataset whose splits lie in `SplitFolders`, whose root is named by a hash of how samples look and are made."""

    @property
    @abstractmethod
    def _folders(self) -> SplitFolders: ...

    @property
    def root(self) -> Path:
        """The folder of all splits, named by a hash of how the samples look and of the code that makes them."""
        return self._folders.root

    def missing(self, splits: Sequence[str] | None = None) -> list[Preparation]:
        """Return what `prepare` would make."""
        return self._folders.missing(splits)

    def prepare(self, workers: int = 1, quiet: bool = True, splits: Sequence[str] | None = None) -> None:
        """Make what is not there of these splits, None = all, in `workers` processes."""
        self._folders.prepare(workers, quiet, splits)

    def folder(self, split: str) -> Path:
        """Return the folder of a split; raises UserError if it is not made yet."""
        return self._folders.split(split)

    @property
    def version(self) -> str:
        """Hash of how the samples look, of the code that makes them and of their number."""
        return hash_data([self.root.name, dict(self._folders.counts)])

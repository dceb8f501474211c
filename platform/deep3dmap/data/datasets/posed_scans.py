"""Shared code of datasets of posed scans: finding, hashing and lazily opening scan folders."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, ClassVar

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Sample, Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.data.content_hash import hash_data, hash_files
from deep3dmap.data.datasets.given_root import given_root
from deep3dmap.data.formats.rgbd_scan import Scan
from deep3dmap.data.scan_checks import require_sound

CHECK = "reject scans with implausible units, cameras or poses"
SCAN_KEYS = tuple(field.name for field in fields(Scan))


class PosedScans:
    """Named scans; `load(name)` opens one."""

    def __init__(self, names: Sequence[str], load: Callable[[str], Sample], check: bool = True) -> None:
        """check: validate each scan when it is first opened and raise UserError if it is implausible, see `scan_checks`."""
        self._names, self._load, self._check = list(names), load, check
        self._sound: set[int] = set()

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Sample:
        """Open scan `index`; its frames are loaded lazily."""
        sample = self._load(self._names[index])
        if self._check and index not in self._sound:
            require_sound(sample, self._names[index])
            self._sound.add(index)
        return sample

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def name(self, index: int) -> str:
        """Return the name of a scan."""
        return self._names[index]


def sample_of(scan: Scan) -> Sample:
    """Return a scan as a sample, with the keys SCAN_KEYS."""
    return {name: getattr(scan, name) for name in SCAN_KEYS}


class ScanFolders(ABC):
    """Base class for one scan or a folder of scans, all for testing. Subclasses define what a scan is and how it is read."""

    card: ClassVar[DatasetCard]
    name: ClassVar[str]
    holds: ClassVar[str]

    def __init__(self, config: Any, cache: Path) -> None:
        self._config, self._cache = config, cache

    @staticmethod
    @abstractmethod
    def is_scan(folder: Path) -> bool:
        """Return whether `folder` itself is a scan."""

    @abstractmethod
    def read(self, folder: Path) -> Sample:
        """Open the scan in `folder`."""

    @property
    def root(self) -> Path:
        """Dataset folder. Raises UserError if it is not set or does not exist."""
        return given_root(self._config.root, f"a folder with {self.holds}, or a folder of such folders")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether `path` is a scan in this layout or a folder of such scans."""
        return path.is_dir() and (cls.is_scan(path) or any(map(cls.is_scan, path.glob("*/"))))

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Check that there are scans."""
        self._folders()

    @property
    def version(self) -> str:
        """Hash of all files and of the reading options."""
        options = {name: value for name, value in asdict(self._config).items() if name not in ("root", "check")}
        return hash_data([hash_files(self.root, set(self._files()), self._cache), options])

    def split(self, name: str) -> Split:
        """Return all scans; raises UserError for a split other than `test`."""
        if name not in self.card.splits:
            raise unknown(f"split of {self.name}", name, self.card.splits)
        folders = self._folders()
        return PosedScans(list(folders), lambda title: self.read(folders[title]), self._config.check)

    def _files(self) -> Iterator[Path]:
        """Yield the files that may be read."""
        for folder in self._folders().values():
            yield from (file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))

    def _folders(self) -> dict[str, Path]:
        root = self.root
        found = [root] if self.is_scan(root) else [place for place in sorted(root.glob("*/")) if self.is_scan(place)]
        if not found:
            raise UserError(f"{root}: no scan of {self.name} in it; a scan contains {self.holds}")
        return {folder.resolve().name: folder for folder in found}

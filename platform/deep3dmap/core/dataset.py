"""The dataset contract."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, overload, runtime_checkable

from deep3dmap.core.card import DatasetCard

Sample = dict[str, Any]
T = TypeVar("T")


class LazySequence(Sequence[T], Generic[T]):
    """A sequence whose items are loaded on access, such as the frames of a long scan."""

    def __init__(self, load: Callable[[int], T], length: int) -> None:
        self._load, self._length = load, length

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> "LazySequence[T]": ...
    def __getitem__(self, index: int | slice) -> "T | LazySequence[T]":
        """Load item `index`; a slice returns another lazy sequence."""
        if isinstance(index, slice):
            chosen = range(self._length)[index]
            return LazySequence(lambda i: self._load(chosen[i]), len(chosen))
        if not -self._length <= index < self._length:
            raise IndexError(f"item {index} of {self._length}")
        return self._load(index % self._length)

    def __iter__(self) -> Iterator[T]:
        return (self._load(i) for i in range(self._length))


@runtime_checkable
class Split(Protocol):
    """One split of a dataset: a map-style dataset of named samples."""

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Return one sample; its keys are described in core.keys."""
        ...

    def name(self, index: int) -> str:
        """Return the name of a sample: unique in the split, usable as a folder name."""
        ...


class WholeSet:
    """A split with a single sample, for suites that score a whole test set at once. name: name of the sample."""

    def __init__(self, name: str, sample: Sample) -> None:
        self._name, self._sample = name, sample

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        """Return the only sample; raises IndexError unless `index` is 0."""
        if index != 0:
            raise IndexError(f"sample {index} of 1")
        return self._sample

    def name(self, index: int) -> str:
        """Return the name of the only sample."""
        return self._name


class Dataset(Protocol):
    """A dataset, constructed as `Cls(config, cache=Path)`, where `config` is an instance of the dataclass `Cls.config_type`.

    `prepare` generates missing data (procedural worlds, caches) and is safe to call from several processes. `version` is a
    hash of the content, known after `prepare`, or of the seed and code that generate it, known beforehand. Two further
    attributes are optional: `recognises(path)`, a class method that the `reconstruct` command uses to choose a reader for its
    input, and `for_reconstruction`, options that it then reads with, such as no held-out views.
    """

    card: DatasetCard
    config_type: type

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Generate missing data on disk, atomically."""
        ...

    @property
    def version(self) -> str:
        """Hash of the content, or of the seed and code that generate it."""
        ...

    @property
    def root(self) -> Path:
        """Folder that the data are read from."""
        ...

    def split(self, name: str) -> Split:
        """Return a split; raises UserError that lists the available names for an unknown one."""
        ...


@dataclass(frozen=True)
class Preparation:
    """Items that must be generated before they can be read. seconds: estimated total time on one core, None = unknown."""

    title: str
    count: int
    seconds: float | None


@runtime_checkable
class PreparedBySplit(Protocol):
    """Optional interface of a dataset that is expensive to generate: it lists missing items and prepares selected splits.

    Its `version` is known before anything is generated.
    """

    def missing(self, splits: Sequence[str] | None = None) -> list[Preparation]:
        """Return what `prepare` would generate for these splits (None = all), without generating it."""
        ...

    def prepare(self, workers: int = 1, quiet: bool = True, splits: Sequence[str] | None = None) -> None:
        """Generate the missing data of these splits (None = all)."""
        ...

"""What the platform expects of a dataset."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, overload, runtime_checkable

from deep3dmap.core.card import DatasetCard

Sample = dict[str, Any]
T = TypeVar("T")


class LazySequence(Sequence[T], Generic[T]):
    """A sequence whose items are made when asked for, such as the frames of a long scan."""

    def __init__(self, load: Callable[[int], T], length: int) -> None:
        self._load, self._length = load, length

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> "LazySequence[T]": ...
    def __getitem__(self, index: int | slice) -> "T | LazySequence[T]":
        """Load item `index`; a slice gives another lazy sequence."""
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
    """One split of a dataset: a map-style dataset of samples that have names."""

    def __len__(self) -> int:
        """How many samples there are."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Return one sample; its keys are described in core.keys."""
        ...

    def name(self, index: int) -> str:
        """Return the name of a sample: unique in the split, usable as a folder name."""
        ...


class WholeSet:
    """A split of a single sample, for what is scored once for a whole test set. name: of the sample."""

    def __init__(self, name: str, sample: Sample) -> None:
        self._name, self._sample = name, sample

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        """Return the only sample; raises IndexError for another."""
        if index != 0:
            raise IndexError(f"sample {index} of 1")
        return self._sample

    def name(self, index: int) -> str:
        """Return the name of the only sample."""
        return self._name


class Dataset(Protocol):
    """A dataset, built from its config: `Cls(config, cache=Path)`; `Cls.config_type` is the dataclass of its fields.

    `prepare` makes what is missing (procedural worlds, caches) and is safe to call from many processes; `version` is a hash
    of the content, known after `prepare`, or of the seed and code that make it, known before. Two more are optional:
    `recognises(path)`, a class method by which `reconstruct` finds the reader of its input, and `for_reconstruction`, options
    that it then reads with, such as no views held out.
    """

    card: DatasetCard
    config_type: type

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Make what is missing on disk, whole or not at all."""
        ...

    @property
    def version(self) -> str:
        """Hash of the content."""
        ...

    @property
    def root(self) -> Path:
        """The folder that is read."""
        ...

    def split(self, name: str) -> Split:
        """Return a split; raises UserError with the names there are."""
        ...


@dataclass(frozen=True)
class Preparation:
    """Items that have to be made before they can be read. seconds: about how long all take on one core, None = unknown."""

    title: str
    count: int
    seconds: float | None


@runtime_checkable
class PreparedBySplit(Protocol):
    """What a dataset offers on top that has much to make: it says what is missing, and makes the splits that are needed only.

    Its `version` is known before anything is made.
    """

    def missing(self, splits: Sequence[str] | None = None) -> list[Preparation]:
        """Return what `prepare` would make for these splits, None = all, without making it."""
        ...

    def prepare(self, workers: int = 1, quiet: bool = True, splits: Sequence[str] | None = None) -> None:
        """Make what is missing of these splits, None = all."""
        ...

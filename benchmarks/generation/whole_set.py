"""A test split as one scene."""

from typing import Any

from deep3dmap.core import LazySequence, Sample, Split

NAME = "test_set"


class WholeSet:
    """A split of a single sample, whose `images` are the photographs of another split, read when they are asked for."""

    def __init__(self, split: Split) -> None:
        self._split = split

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        """Return the only sample."""
        if index != 0:
            raise IndexError(f"sample {index} of 1")
        return {"images": LazySequence(self._photograph, len(self._split))}

    def name(self, index: int) -> str:
        """Return the name of the whole."""
        return NAME

    def _photograph(self, index: int) -> Any:
        return self._split[index]["image"]

"""Options of generated datasets: every number has limits, and values beyond them are rejected before generation."""

from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from deep3dmap.config.compose import compose_dataset
from deep3dmap.core.errors import UserError
from deep3dmap.core.options import check_options
from deep3dmap.core.registry import datasets

WORLDS = ("bodies", "clevr", "face_depth", "heads", "multiview_heads", "objects", "rooms", "terrain")
NUMBERS = (int, float)


@cache
def smallest(name: str) -> dict[str, Any]:
    section: dict[str, Any] = compose_dataset(f"{name}/smoke")["dataset"]
    return section


@pytest.mark.parametrize("name", WORLDS)
def test_numbers_beyond_their_ends_are_refused(name: str) -> None:
    kind = datasets.load(name)
    for of in fields(kind.config_type):
        if of.type in NUMBERS:
            ends = [(of.metadata["low"], -1), (of.metadata["high"], 1)]
            assert ends[0][0] is not None, f"{of.name} may be anything"
            for end, step in ends:
                if end is not None:
                    with pytest.raises(UserError, match=rf"dataset\.{of.name}=.*: must be "):
                        check_options(kind.config_type, {of.name: end + step}, "dataset.", searched=False)


@pytest.mark.parametrize("name", WORLDS)
def test_the_ends_themselves_are_possible_or_refused_in_words(name: str, tmp_path: Path) -> None:
    """Every accepted configuration has a version and can list what it would generate."""
    kind, plain = datasets.load(name), smallest(name)
    accepted = 0
    for of in fields(kind.config_type):
        if of.type in NUMBERS:
            for end in (of.metadata["low"], of.metadata["high"]):
                if end is not None and end < 1000:
                    try:
                        dataset = kind(kind.config_type(**{**plain, of.name: of.type(end)}), tmp_path)
                    except UserError:
                        continue
                    assert dataset.version
                    assert all(one.count >= 0 for one in dataset.missing())
                    accepted += 1
    assert accepted > 3


@pytest.mark.parametrize("name", WORLDS)
def test_another_seed_is_another_world(name: str, tmp_path: Path) -> None:
    kind, plain = datasets.load(name), smallest(name)
    same, again, other = (kind(kind.config_type(**{**plain, "seed": seed}), tmp_path) for seed in (3, 3, 4))
    assert same.version == again.version != other.version

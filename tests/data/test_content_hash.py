"""Versions of generated data: a hash of the configuration and of the generating source code only."""

import importlib.util
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import pytest

from deep3dmap.data.content_hash import LENGTH, hash_data, hash_generator


@dataclass(frozen=True)
class Plan:
    """Generation settings."""

    count: int = 3
    scale: float = 0.5
    sizes: tuple[int, ...] = (1, 2)


def module(tmp_path: Path, name: str, source: str) -> ModuleType:
    file = tmp_path / f"{name}.py"
    file.write_text(source)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_plain_data_have_one_hash_however_they_are_written() -> None:
    assert hash_data({"a": 1, "b": [1, 2]}) == hash_data({"b": (1, 2), "a": 1})
    assert len(hash_data(None)) == LENGTH
    different = [None, 0, 1, "1", [1], [[1]], {"a": 1}, {"a": "1"}, [1, 2], [2, 1], 1.5, ""]
    assert len({hash_data(one) for one in different}) == len(different)


def test_a_generator_is_told_by_its_settings_and_its_sources(tmp_path: Path) -> None:
    first, second = module(tmp_path, "first", "X = 1\n"), module(tmp_path, "second", "Y = 2\n")
    known = hash_generator(Plan(), [first, second])
    assert hash_generator(Plan(), [second, first]) == known, "their order says nothing"
    assert hash_generator(Plan(), [first]) != known
    for change in ({"count": 4}, {"scale": 0.25}, {"sizes": (2, 1)}):
        assert hash_generator(replace(Plan(), **change), [first, second]) != known  # type: ignore[arg-type]
    module(tmp_path, "second", "Y = 3\n")
    assert hash_generator(Plan(), [first, second]) != known
    module(tmp_path, "second", "Y = 2\n")
    assert hash_generator(Plan(), [first, second]) == known


def test_what_has_no_source_cannot_be_hashed() -> None:
    with pytest.raises(ValueError, match="sys is not a file"):
        hash_generator(Plan(), [sys])

"""A broken plugin is listed with its error, and does not affect others."""

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from deep3dmap.bench.suite import load_suite
from deep3dmap.cli import main
from deep3dmap.config.plugins import get_load_error, list_working
from deep3dmap.core import UserError, datasets, methods, suites
from deep3dmap.testing.method_under_test import smallest_dataset

Captured = pytest.CaptureFixture[str]
REGISTRIES = {"methods": methods, "datasets": datasets, "suites": suites}


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Register one broken plugin of every kind, and a method whose variants cannot be read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "stranger_module.py").write_text("import a_library_that_is_absent\n")
    (tmp_path / "stranger_exits.py").write_text("raise SystemExit(3)\n")
    package = tmp_path / "stranger_variants"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "method.py").write_text("from toys import Regression as Base\nclass Mine(Base):\n    variants = {}\n")
    (package / "config.yaml").write_text("mini: {method: [}\n")
    for registry in REGISTRIES.values():
        entry = EntryPoint("a_stranger", "stranger_module:Thing", registry.group)
        monkeypatch.setitem(registry._entries, "a_stranger", entry)
    for name, value in (("leaver", "stranger_exits:Thing"), ("unreadable", "stranger_variants.method:Mine")):
        monkeypatch.setitem(methods._entries, name, EntryPoint(name, value, methods.group))
    return tmp_path


def test_what_is_broken_is_told_from_what_works(strangers: Path) -> None:
    for registry in REGISTRIES.values():
        assert "No module named 'a_library_that_is_absent' (stranger_module.py:1)" in get_load_error(registry, "a_stranger")
        assert "a_stranger" not in list_working(registry)
    assert "cannot be imported: SystemExit: 3" in get_load_error(methods, "leaver")
    assert "config.yaml: cannot be read" in get_load_error(methods, "unreadable")
    assert get_load_error(methods, "prnet") == ""
    assert {"prnet", "mean_face"} <= set(list_working(methods))


@pytest.mark.parametrize("verb", list(REGISTRIES))
def test_lists_name_it_with_its_error(verb: str, strangers: Path, capsys: Captured) -> None:
    assert main([verb]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("a_stranger")]
    assert len(lines) == 1
    assert "broken: " in lines[0]
    assert "a_library_that_is_absent" in lines[0]
    assert main([verb, "--json"]) == 0
    pages = {page["name"]: page for page in json.loads(capsys.readouterr().out)}
    assert "a_library_that_is_absent" in pages["a_stranger"]["broken"]
    assert all("card" in page for page in pages.values() if "broken" not in page)
    assert main([verb, "a_stranger"]) == 2
    assert "a_library_that_is_absent" in capsys.readouterr().err


def test_the_doctor_names_it_and_what_to_install(strangers: Path, capsys: Captured) -> None:
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert told.count("a_library_that_is_absent") == 3
    # The name of an extra in brackets is not treated as markup of the table.
    assert "pip install 'deep3dmap'" not in told
    assert "OSMesa for pyrender" in told


def test_it_stops_nothing_of_others(strangers: Path) -> None:
    assert {"prnet", "mean_face"} <= set(load_suite("face").entrants())
    assert smallest_dataset(methods.load("tsdf_fusion").card).startswith("rooms/")
    with pytest.raises(UserError, match="method 'a_stranger' cannot be imported"):
        load_suite("face").check_entrant("a_stranger")


def test_a_benchmark_says_what_it_left_out(strangers: Path, capsys: Captured) -> None:
    sizes = ("dataset.train=4", "dataset.val=1", "dataset.test=1", f"data.cache={strangers}/cache")
    assert main(["benchmark", "suite=face", "tier=smoke", "datasets=[heads/smoke]", "seeds=1", *sizes, "--dry-run"]) == 0
    told = capsys.readouterr()
    assert {line.split()[3] for line in told.out.splitlines()} == {"prnet/smoke", "mean_face/smoke"}
    left_out = [line for line in told.err.splitlines() if line.startswith("deep3dmap: left out: ")]
    assert len(left_out) == 3

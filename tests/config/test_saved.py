"""Saved configurations are plain data: interpolations are not resolved, and a file cannot select code to import."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from deep3dmap.cli import main
from deep3dmap.config.compose import build_section
from deep3dmap.config.plain_data import check_plain
from deep3dmap.config.saved import check_choice, read_saved
from deep3dmap.config.schema import TrainerConfig
from deep3dmap.core import UserError
from deep3dmap.core.secrets import HIDDEN

SECRET = "a-value-nobody-may-see"
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module that writes a marker file when it is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    (tmp_path / "evil.py").write_text("open('imported', 'w').close()\nfrom toys import Regression as X\n")
    return tmp_path


def save(folder: Path, name: str = "run.yaml", **values: Any) -> Path:
    saved = {"choices": {"method": "prnet/mini", "dataset": "heads/smoke"}, "config": {}, **values}
    file = folder / name
    file.write_text(json.dumps(saved) if name.endswith(".json") else yaml.safe_dump(saved))
    return file


def refused(capsys: Captured, *line: str) -> str:
    assert main(list(line)) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert SECRET not in told
    return told


@pytest.mark.parametrize("value", ["${oc.env:AWS_SECRET_ACCESS_KEY}", "x${seed}", "${oc.decode:1}"])
@pytest.mark.parametrize("name", ["run.yaml", "run.json"])
def test_nothing_in_a_saved_file_is_resolved(value: str, name: str, folder: Path, capsys: Captured) -> None:
    file = save(folder, name, config={"method": {"weights": value}})
    assert "saved values are plain" in refused(capsys, "train", f"from={file}", "--cfg")
    file = save(folder, name, tuned={"method.weights": value})
    assert "saved values are plain" in refused(capsys, "benchmark", "suite=face", "tier=smoke", f"best={file}")


def test_a_saved_file_does_not_decide_what_is_imported(folder: Path, capsys: Captured) -> None:
    choices = {"method": "evil:X/mini", "dataset": "heads/smoke"}
    file = save(folder, choices=choices, tuned={"method.hidden": 4})
    told = refused(capsys, "train", f"from={file}", "--cfg")
    assert "its method is the module evil:X" in told
    assert "add method=evil:X" in told
    assert "add methods=evil:X" in refused(capsys, "benchmark", "suite=face", "tier=smoke", f"best={file}")
    file = save(folder, choices={"method": "prnet/mini", "dataset": "evil:X"})
    assert "add dataset=evil:X" in refused(capsys, "train", f"from={file}", "--cfg")
    assert not (folder / "imported").exists()


def test_a_module_that_the_line_names_too_is_imported(folder: Path, capsys: Captured) -> None:
    file = save(folder, choices={"method": "toys:Regression/mini", "dataset": "toys:Dots"}, config={"seed": 3})
    line = ["train", f"from={file}", "method=toys:Regression/mini", "dataset=toys:Dots", "--cfg", "--json"]
    assert main(line) == 0
    assert json.loads(capsys.readouterr().out)["config"]["seed"] == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"choices": ["prnet"]}, "not a saved configuration"),
        ({"config": {"hydra": {"searchpath": ["/x"]}}}, "'hydra' is not a section of a run configuration"),
        ({"config": {"method": "evil:X"}}, "'method' is not a section of a run configuration"),
        ({"config": {"trainer": {"+x": 1}}}, r"'\+x' is not a valid option name"),
        ({"tuned": {"hydra.verbose": True}}, "'hydra.verbose' is not a run setting"),
    ],
)
def test_what_is_no_run_is_refused(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        read_saved(save(tmp_path, **values), "from=run.yaml", "make one")


@pytest.mark.parametrize("text", ["", "[[[", "[" * 5000, "- 1", "!!python/object/apply:os.system ['true']"])
def test_what_is_no_file_of_ours_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(UserError, match=r"^from=x: not a saved configuration"):
        read_saved(tmp_path / "run.yaml", "from=x", "make one")


def test_a_saved_file_that_is_not_there_and_a_folder_are_told_apart(folder: Path, capsys: Captured) -> None:
    assert "from=no.yaml: no such file; make one with --cfg --json" in refused(capsys, "train", "from=no.yaml", "--cfg")
    benchmark = ("benchmark", "suite=face", "tier=smoke")
    assert "best=no.yaml: no such file; `deep3dmap tune` writes one" in refused(capsys, *benchmark, "best=no.yaml")
    assert "from=.: a folder, not a saved configuration" in refused(capsys, "train", "from=.", "--cfg")


def test_sections_resolve_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with pytest.raises(UserError, match=r"trainer\.initialize_from is '\$\{oc\.env"):
        build_section(TrainerConfig, {"initialize_from": "${oc.env:AWS_SECRET_ACCESS_KEY}"}, "trainer.")
    with pytest.raises(UserError, match="saved values are plain"):
        check_plain({"a": [{"b": "${x}"}]})


def test_choices_of_a_checkpoint_are_named_by_the_line() -> None:
    check_choice("prnet/mini", "", "method", "checkpoint")
    check_choice("mine:X/mini", "mine:X", "method", "checkpoint")
    with pytest.raises(UserError, match="add method=mine:X"):
        check_choice("mine:X/mini", "other:X", "method", "checkpoint")


def test_secrets_are_saved_and_shown_hidden(folder: Path, capsys: Captured) -> None:
    line = [
        "train",
        "method=prnet/mini",
        "dataset=heads/smoke",
        f"method.weights={SECRET}",
        f"inputs.api_key={SECRET}",
        "--cfg",
    ]
    assert main(line) == 0
    assert SECRET not in capsys.readouterr().out
    assert main([*line, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["config"]["inputs"] == {"api_key": HIDDEN}
    file = folder / "run.json"
    file.write_text(json.dumps(shown))
    assert "inputs.api_key" not in " ".join(read_saved(file, "from", "").layer().overrides)

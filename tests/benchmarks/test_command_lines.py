"""Every `python -m deep3dmap.benchmarks...` describes itself, and reports a wrong argument in one line with exit code 2."""

import importlib
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deep3dmap import benchmarks
from deep3dmap.benchmarks.kernels import start_up

HERE = Path(benchmarks.__path__[0])
MODULES = sorted(
    ".".join(file.relative_to(HERE).with_suffix("").parts).removesuffix(".__main__")
    for file in HERE.rglob("*.py")
    if '__name__ == "__main__"' in file.read_text()
)
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if a measurement would start."""

    def started(*_: Any, **__: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "run", started)


def exit_code(monkeypatch: pytest.MonkeyPatch, module: str, *arguments: str) -> Any:
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    # Import afresh, as `python -m` would, regardless of what other tests have imported.
    for name in (module, f"{module}.__main__"):
        monkeypatch.delitem(sys.modules, f"deep3dmap.benchmarks.{name}", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"deep3dmap.benchmarks.{module}", run_name="__main__")
    return ended.value.code


def test_they_are_found() -> None:
    assert {"kernels.start_up", "kernels.gpu", "kernels.gpu.parity", "statistics", "store.chaos"} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_help_teaches(module: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert exit_code(monkeypatch, module, "--help") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert told.startswith("usage: ")
    described = importlib.import_module(f"deep3dmap.benchmarks.{module}" + ".__main__" * (module == "kernels.gpu")).__doc__
    assert " ".join(str(described).split()) in told


@pytest.mark.parametrize("module", MODULES)
def test_a_wrong_argument_is_one_line(module: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert exit_code(monkeypatch, module, "--no-such-thing") == 2
    *usage, told = capsys.readouterr().err.splitlines()
    assert usage[0].startswith("usage: ")
    assert "error: " in told


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("kernels.tsdf --rounds 0", "argument --rounds: '0' is not a whole number of at least 1"),
        ("kernels.rasterize --sizes 64 x", "argument --sizes: 'x' is not a whole number"),
        ("kernels.ray_scale_parts store -3", "argument size: '-3' is not a whole number of at least 1"),
        ("kernels.ray_scale_parts stores 3", "invalid choice: 'stores'"),
        ("kernels.train_overhead --only plane 3", "--only plane 3: LOOP is platform or plain, STEPS a number"),
        ("kernels.train_overhead --method prnnet", "unknown method 'prnnet'; did you mean 'prnet'?"),
        ("kernels.train_overhead --dataset heads/smoek", "dataset 'heads' has no variant 'smoek'; did you mean 'smoke'?"),
        ("kernels.start_up methods", "methods: only these verbs report their stages: train and benchmark"),
        ("store.chaos --writers 0", "argument --writers: '0' is not a whole number of at least 1"),
    ],
)
def test_mistakes(line: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    assert exit_code(monkeypatch, *line.split()) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_command_that_fails_is_quoted_and_its_exit_code_kept(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def failing(line: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(line, 2, "", "deep3dmap: which method?\n")

    monkeypatch.setattr(subprocess, "run", failing)
    monkeypatch.setattr(sys, "argv", ["start_up", "train", "--resume"])
    with pytest.raises(SystemExit) as ended:
        start_up.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "deep3dmap: which method?\n"

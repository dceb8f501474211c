"""Files in the current folder never shadow modules of an installed package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deep3dmap.cli import find_named_modules
from deep3dmap.cli.dashboard import server_command

SCRIPT = "import sys; from deep3dmap.cli import main; sys.exit(main())"
STARTS = {
    "script": [sys.executable, "-P", "-c", SCRIPT],
    "module": [sys.executable, "-m", "deep3dmap.cli"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a planted module named like a library, and a method of the user."""
    (tmp_path / "rich.py").write_text("open('planted', 'w').close()\n")
    (tmp_path / "mine.py").write_text("from toys import Regression\nclass Mine(Regression):\n    pass\n")
    return tmp_path


def run(folder: Path, start: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    support = Path(__file__).resolve().parents[1] / "support"
    paths = os.pathsep.join(filter(None, [str(support), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [*STARTS[start], *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("start", list(STARTS))
def test_a_planted_module_does_not_run(start: str, folder: Path) -> None:
    done = run(folder, start, "methods", "mean_face")
    assert done.returncode == 0, done.stderr
    assert not (folder / "planted").exists()


@pytest.mark.parametrize("start", list(STARTS))
def test_a_method_that_is_named_is_found_in_the_current_folder(start: str, folder: Path) -> None:
    done = run(folder, start, "methods", "mine:Mine")
    assert done.returncode == 0, done.stderr
    assert "mine:Mine" in done.stdout
    assert not (folder / "planted").exists()


def test_the_console_script_itself(folder: Path) -> None:
    script = Path(sys.executable).with_name("deep3dmap")
    done = subprocess.run([script, "results", "ls"], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert "deep3dmap" in done.stderr + done.stdout
    assert not (folder / "planted").exists()


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        *(("method=mine:Mine", True), ("methods=[prnet,mine:Mine/mini]", True), ("mine:Mine", True), ("a.b:C/mini", True)),
        *(("results=s3://bucket/x", False), ("http://127.0.0.1:8265", False), ("inputs={a:b}", False), ("method=prnet", False)),
    ],
)
def test_the_folder_is_looked_into_only_for_what_is_named(
    argument: str, named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    find_named_modules(["train", argument])
    assert (sys.path[-1] == str(tmp_path)) is named


def test_the_server_of_the_dashboard_does_not_look_there() -> None:
    assert server_command("127.0.0.1", 8501)[1] == "-P"

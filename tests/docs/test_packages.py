"""The package built on the pages about datasets and suites is copied from them, installed, and used with their commands."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PAGES = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"```(?:python|yaml|toml)\n# (\S+?)(?:, continued)?\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"^deep3dmap .*$", re.MULTILINE)


def text(page: str) -> str:
    return (PAGES / page).read_text()


def commands(page: str) -> list[list[str]]:
    blocks = re.findall(r"^```\n(deep3dmap .*?)^```", text(page), re.DOTALL | re.MULTILINE)
    return [line.split()[1:] for block in blocks for line in COMMAND.findall(block)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder, next to a folder on the path in which the package is installed as pip would do it."""
    place = tmp_path_factory.mktemp("reader")
    installed, work = place / "installed", place / "work"
    work.mkdir()
    project = ""
    for page in ("add_a_dataset.md", "add_a_suite.md"):
        for name, code in BLOCK.findall(text(page)):
            if name == "pyproject.toml":
                project += code
                continue
            file = installed / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(code)
    for package in {file.parent for file in installed.rglob("*.py")}:
        (package / "__init__.py").touch()
    about = tomllib.loads(project)["project"]
    metadata = installed / "toy_clouds-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n")
    groups = {group: "\n".join(f"{key} = {value}" for key, value in of.items()) for group, of in about["entry-points"].items()}
    (metadata / "entry_points.txt").write_text("".join(f"[{group}]\n{lines}\n" for group, lines in groups.items()))
    return work


def run(folder: Path, *arguments: str) -> str:
    paths = os.pathsep.join(filter(None, [str(folder.parent / "installed"), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": paths, "DEEP3DMAP_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "deep3dmap.cli", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_commands_of_the_page_on_datasets(folder: Path) -> None:
    told = {line[0]: run(folder, *line) for line in commands("add_a_dataset.md")}
    assert set(told) == {"datasets", "keys", "data"}
    assert "noisy points on random ellipsoids" in told["datasets"]
    assert "metres, world frame" in told["keys"]
    assert "test: 4 samples" in told["data"]


def test_its_options_are_checked_like_those_of_ours(folder: Path) -> None:
    with pytest.raises(AssertionError, match=r"dataset\.noise=0.5: must be at least 0 and at most 0.1"):
        run(folder, "data", "generate", "clouds/smoke", "dataset.noise=0.5")


@pytest.mark.ray
def test_the_commands_of_the_page_on_suites(folder: Path) -> None:
    lines = commands("add_a_suite.md")
    assert [line[0] for line in lines] == ["suites", "check", "benchmark", "leaderboard"]
    told = {line[0]: run(folder, *line) for line in lines}
    assert "point_cloud: noisy points on the surface of an object" in told["suites"]
    rows = json.loads(run(folder, "leaderboard", "--format", "json"))["suites"]["surfaces"]
    values = {row["method"]: row["value"] for row in rows}
    assert set(values) == {"hull", "sphere"}
    assert values["hull"] < 30 < values["sphere"]
    assert list((folder / "results" / "artifacts").rglob("clouds.png"))

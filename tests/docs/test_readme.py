"""The method in the README is short, passes the contract and takes part in the benchmark."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"
SMALL = ("dataset=heads/smoke", "dataset.train=16", "dataset.val=4", "dataset.test=4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    blocks = re.findall(r"```python\n# my_method\.py\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 1
    folder = tmp_path_factory.mktemp("reader")
    (folder / "my_method.py").write_text(blocks[0])
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DEEP3DMAP_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "deep3dmap.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False)


def test_it_is_under_forty_lines(folder: Path) -> None:
    assert len((folder / "my_method.py").read_text().splitlines()) < 40


def test_it_passes_the_contract(folder: Path) -> None:
    checks = ("interface", "training", "reconstruction", "save and load", "determinism", "exact resume")
    only = [word for check in checks for word in ("--only", check)]
    done = run(folder, "check", "my_method:TinyFace", *SMALL, *only, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    marks = json.loads(done.stdout)
    assert [mark["check"] for mark in marks if mark["passed"]] == list(checks)


@pytest.mark.ray
def test_it_enters_the_benchmark(folder: Path) -> None:
    names = ("suite=face", "tier=smoke", "methods=[my_method:TinyFace,mean_face]", "seeds=1", "trainer.max_steps=5")
    done = run(
        folder,
        "benchmark",
        *names,
        *(text.replace("dataset=", "datasets=[") + "]" if text.startswith("dataset=") else text for text in SMALL),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    board = run(folder, "leaderboard", "--format", "json")
    rows = json.loads(board.stdout)["suites"]["face"]
    assert {row["method"] for row in rows} == {"my_method:TinyFace", "mean_face"}

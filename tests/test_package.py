"""The installed package matches the repository: a line in .gitignore can silently remove a folder from the wheel."""

import importlib.util
import subprocess
from importlib import resources
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
MAPPED = {
    "platform/deep3dmap": "",
    "methods": "methods",
    "benchmarks": "benchmarks",
    "cluster": "cluster",
    "dashboard": "dashboard",
}


def tracked(folder: str) -> list[Path]:
    try:
        done = subprocess.run(["git", "ls-files", folder], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("these tests are not in a git checkout")
    return [Path(line).relative_to(folder) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("folder", MAPPED)
def test_every_module_and_data_file_is_installed(folder: str) -> None:
    package = ".".join(part for part in ("deep3dmap", MAPPED[folder]) if part)
    files = tracked(folder)
    assert files
    for file in files:
        if file.suffix == ".py":
            parts = [part for part in file.with_suffix("").parts if part != "__init__"]
            assert importlib.util.find_spec(".".join([package, *parts])) is not None, file
        else:
            owner = ".".join([package, *file.parent.parts])
            assert (resources.files(owner) / file.name).is_file(), file


def test_the_standard_library_keeps_its_platform_module() -> None:
    assert not (REPOSITORY / "platform" / "__init__.py").exists()

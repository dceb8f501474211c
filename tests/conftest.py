"""Optional resources of the tests: a GPU, the shared samples and the golden vectors."""

import os
import sys
from pathlib import Path

import pytest
import torch

from deep3dmap.ops import _backend

REPOSITORY = Path(__file__).resolve().parents[1]


def _place(variable: str, default: Path) -> Path:
    named = os.environ.get(variable)
    place = Path(named) if named else default
    if place.is_dir():
        return place
    if named or os.environ.get("CI"):
        pytest.fail(f"{place} is missing, but required by {variable if named else 'CI'}")
    pytest.skip(f"{place} is missing; set {variable} to run this test")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked `gpu` if the CUDA kernels cannot run."""
    if item.get_closest_marker("gpu") and not (torch.cuda.is_available() and "cuda" in _backend.native_devices()):
        pytest.skip("needs a CUDA device and a build with -C cmake.define.DEEP3DMAP_CUDA=ON")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real samples (`data/`), checks and golden vectors; skips the test if it is missing."""
    return _place("DEEP3DMAP_SHARED", REPOSITORY.parent / "shared")


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest) -> Path:
    """The folder of golden vectors generated with the official implementations; skips the test if it is missing."""
    named = os.environ.get("DEEP3DMAP_GOLDEN")
    default = Path(named) if named else Path(os.environ.get("DEEP3DMAP_SHARED", REPOSITORY.parent / "shared")) / "golden"
    return _place("DEEP3DMAP_GOLDEN", default)


# Ray workers copy sys.path from the test process to import modules by name, such as the toy methods.
sys.path.insert(0, str(Path(__file__).parent / "support"))

"""What the tests need that may be absent: a GPU, the shared samples and the golden vectors."""

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
        pytest.fail(f"{place} is absent, though {variable if named else 'CI'} asks for it")
    pytest.skip(f"{place} is absent; set {variable} to run this test")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked `gpu` where the kernels for CUDA cannot run."""
    if item.get_closest_marker("gpu") and not (torch.cuda.is_available() and "cuda" in _backend.native_devices()):
        pytest.skip("needs a CUDA device and a build with -C cmake.define.DEEP3DMAP_CUDA=ON")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real samples (`data/`), checks and golden vectors; skips where there is none."""
    return _place("DEEP3DMAP_SHARED", REPOSITORY.parent / "shared")


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest) -> Path:
    """The folder of golden vectors made by the official implementations; skips where there is none."""
    named = os.environ.get("DEEP3DMAP_GOLDEN")
    default = Path(named) if named else Path(os.environ.get("DEEP3DMAP_SHARED", REPOSITORY.parent / "shared")) / "golden"
    return _place("DEEP3DMAP_GOLDEN", default)


# Modules that Ray's workers import by name, such as the toy methods; workers copy this path from the test process.
sys.path.insert(0, str(Path(__file__).parent / "support"))

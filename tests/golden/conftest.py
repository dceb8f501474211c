"""Parts of the golden vectors: what the manifest says, the weights it names, and the arrays."""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch


@dataclass(frozen=True)
class Part:
    manifest: dict[str, Any]
    state: dict[str, torch.Tensor]
    arrays: dict[str, np.ndarray]

    def tensor(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self.arrays[name])


@pytest.fixture(scope="session")
def load_part(golden: Path) -> Callable[[str], Part]:
    """Read a part by its path inside the golden folder, e.g. `prnet/resfcn256`."""
    spec = importlib.util.spec_from_file_location("golden_fill", golden / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)

    def load(name: str) -> Part:
        folder = golden / name
        manifest = json.loads((folder / "manifest.json").read_text())
        state = {key: torch.as_tensor(value) for key, value in fill.load_state(folder).items()}
        with np.load(folder / "io.npz") as arrays:
            return Part(manifest, state, dict(arrays))

    return load


@pytest.fixture(scope="session")
def relative_error() -> Callable[[torch.Tensor, np.ndarray], float]:
    """Largest absolute error, relative to the largest absolute reference."""

    def error(ours: torch.Tensor, reference: np.ndarray) -> float:
        assert tuple(ours.shape) == reference.shape
        return float(np.abs(ours.detach().numpy() - reference).max() / np.abs(reference).max())

    return error

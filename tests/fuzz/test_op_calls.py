"""20,000 of the million op calls of `make fuzz`, on the kernels as built here, and a check that no op is left out."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

import run
from op_calls import Call
from op_table import op_table

from deep3dmap import ops
from deep3dmap.ops import _backend


def test_no_call_of_an_op_ends_the_process() -> None:
    """Valid and invalid calls either succeed or raise a clear error, using little memory."""
    found = run.fuzz("ops", count=20_000, seed=1)
    assert not found.faults, run.table("ops", found)
    assert found.outcomes.total() == 20_000
    assert found.peak_kib < run.MAX_KIB


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("os.abort()", "signal 6"),
        # Memory that is never written to does not count towards the peak.
        ("torch.empty(2 << 30, dtype=torch.uint8)", "can't allocate memory"),
    ],
)
def test_a_call_that_ends_the_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, told: str) -> None:
    """The harness reports the case at which a worker died and still runs the cases after it."""
    case = f"def run_case(seed, number):\n    if number == 3:\n        {action}\n    return 'toy', 'ok'\n"
    (tmp_path / "op_calls.py").write_text(f"import os, torch\n{case}")
    monkeypatch.setattr(run, "SUPPORT", tmp_path)
    script = (Path(run.__file__).read_text()).replace('Path(__file__).resolve().parents[1] / "support"', f'Path("{tmp_path}")')
    (tmp_path / "run.py").write_text(script)
    monkeypatch.setattr(run, "__file__", str(tmp_path / "run.py"))
    found = run.fuzz("ops", count=8)
    assert found.outcomes["toy: ok"] >= 4
    assert len(found.faults) == 1
    assert "ops 3 (seed 0)" in found.faults[0]
    assert told in found.faults[0]


def test_a_refusal_for_want_of_memory_is_a_fault() -> None:
    assert Call("empty", torch.empty, [-1]).run() == "refused"
    assert "allocate memory" in Call("empty", torch.empty, [1 << 50]).run()


def test_every_kernel_operator_and_public_op_is_called() -> None:
    called = op_table()
    kernels = {f"kernel {name}" for name in dir(_backend.native()) if name.endswith("_cpu")}
    assert kernels - called.keys() == set()
    dispatched = [name.partition(".")[0].split("::") for name in torch._C._dispatch_get_all_op_names()]
    operators = {name for space, name in dispatched if space == "deep3dmap"}
    assert len(operators) > 20
    assert {name for name in operators if name not in called and f"{name} operator" not in called} == set()
    public = {name for name in ops.__all__ if name[0].islower()} - {"available_backends", "native_build_hash", "interpolate"}
    assert public - called.keys() == set()

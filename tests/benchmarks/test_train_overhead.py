"""The overhead of a training step: both loops do the same work, and start-up is excluded. And the stages of a start."""

import math
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from deep3dmap.benchmarks.kernels import nothing, start_up, train_overhead
from deep3dmap.benchmarks.kernels.nothing import MinimalDataset, MinimalDatasetConfig, MinimalMethod, MinimalMethodConfig
from deep3dmap.core import UserError


@pytest.fixture(autouse=True)
def threads() -> Any:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Counting(MinimalMethod):
    """Counts the batches whose loss is computed."""

    def __init__(self, config: MinimalMethodConfig) -> None:
        super().__init__(config)
        self.sizes: list[int] = []

    def losses(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        self.sizes.append(len(batch["image"]))
        return super().losses(outputs, batch)


@pytest.mark.parametrize("name", ["platform", "plain"])
def test_a_loop_takes_the_steps_it_is_told_to_and_learns(name: str) -> None:
    torch.manual_seed(0)
    samples = [{"image": torch.rand(4)} for _ in range(nothing.SAMPLES)]
    method = Counting(MinimalMethodConfig())
    images = torch.stack([sample["image"] for sample in samples])
    before = method.layer(images).square().mean().item()
    train_overhead.LOOPS[name](method, samples, 21)
    # With 64 samples in batches of 8, the 21 steps are two epochs and part of a third.
    assert method.sizes == [8] * 21
    assert method.layer(images).square().mean().item() < before


def test_what_starting_and_ending_cost_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def loop(start: float, step: float) -> Callable[..., None]:
        def run(method: object, samples: object, steps: int) -> None:
            now[0] += start + step * steps

        return run

    monkeypatch.setattr(train_overhead.time, "process_time", lambda: now[0])
    monkeypatch.setattr(train_overhead, "LOOPS", {"platform": loop(1000.0, 2.0), "plain": loop(1.0, 1.5)})
    assert train_overhead.seconds_per_step(object, [], 10, rounds=3) == {"platform": 2.0, "plain": 1.5}  # type: ignore[arg-type]


def test_instructions_are_counted_where_perf_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_overhead.shutil, "which", lambda _: None)
    assert train_overhead.instructions_per_step() is None
    monkeypatch.setattr(train_overhead.shutil, "which", lambda _: "/usr/bin/perf")

    def perf(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        loop, steps = command[-2:]
        count = 10**9 + int(steps) * {"platform": 7000, "plain": 5000}[loop]
        return subprocess.CompletedProcess(command, 0, "", f"a warning\n{count},,instructions:u,1,100.00,,\n")

    monkeypatch.setattr(train_overhead.subprocess, "run", perf)
    assert train_overhead.instructions_per_step(steps=50) == {"platform": 7000.0, "plain": 5000.0}
    refused = subprocess.CompletedProcess([], 255, "", "<not supported>,,instructions:u,0,100.00,,\n")
    monkeypatch.setattr(train_overhead.subprocess, "run", lambda *_, **__: refused)
    assert train_overhead.instructions_per_step() is None


def test_the_tax_is_compared_with_the_step_of_a_real_method(capsys: pytest.CaptureFixture[str]) -> None:
    train_overhead._print("prnet/mini", {"platform": 3e-4, "plain": 1e-4}, {"platform": 0.0202, "plain": 0.02}, None)
    assert capsys.readouterr().out.splitlines() == [
        "next to nothing: platform 300 us, plain torch 100 us per step",
        "tax: 200 us per step",
        "prnet/mini: platform / plain torch 1.010; plain step 20.0 ms",
        "tax / step of prnet/mini: 1.00 % (aim: under 3 %)",
        "instructions: `perf` is absent or cannot count here: skipped",
    ]


def test_one_loop_runs_alone_for_counting() -> None:
    assert train_overhead.main(["--only", "plain", "3"]) == 0


def test_the_minimal_dataset_has_splits() -> None:
    dataset = MinimalDataset(MinimalDatasetConfig(samples=5))
    assert [len(dataset.split(name)) for name in ("train", "val", "test")] == [5, 8, 8]
    vectors = list(dataset.split("train"))  # type: ignore[call-overload]
    assert [float(vector["image"].mean()) for vector in vectors] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    with pytest.raises(UserError, match="no split 'all'; there are train, val, test"):
        dataset.split("all")


def test_the_seconds_of_a_start_are_those_between_its_marks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that begins at 100 s, records two stages of two processes, out of order, and ends at 110 s."""
    clock = iter([100.0, 110.0])
    monkeypatch.setattr(start_up.time, "time", lambda: next(clock))

    def run(line: list[str], env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert line[3:] == ["train", "method=a", f"results={tmp_path / 'results'}"]
        marks = "106.5 17 2.5 first step taken\n101.0 16 0.5 imports done\n104.0 16 1.75 data opened\n"
        Path(env["DEEP3DMAP_STAGES"]).write_text(marks)
        return subprocess.CompletedProcess(line, 0, "", "")

    monkeypatch.setattr(start_up.subprocess, "run", run)
    stages, wall, _ = start_up.measured(tmp_path, "train", "method=a")
    assert [(stage.name, stage.wall_s) for stage in stages] == [
        ("process start", 1.0), ("imports done", 3.0), ("data opened", 2.5), ("first step taken", 3.5)
    ]  # fmt: skip
    # The CPU time is known only between two marks of the same process.
    assert [stage.cpu_s for stage in stages] == pytest.approx([math.nan, 1.25, math.nan, math.nan], nan_ok=True)
    assert wall == 10
    start_up.report(stages, wall, 12.34)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["3.00", "s", "30.0", "%", "1.25", "s", "imports", "done"]
    assert lines[-1].split()[:6] == ["10.00", "s", "12.34", "s", "in", "all,"]

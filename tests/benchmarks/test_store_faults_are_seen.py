"""The count at the end of `make chaos` detects every kind of fault, including a lease held by two living drivers."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deep3dmap.benchmarks.store import chaos, speed
from deep3dmap.benchmarks.store.chaos import SCENES, TEMPLATE, Arena, Tally
from deep3dmap.results.run_id import content_hash
from deep3dmap.results.schema import MetricRow


def write(arena: Arena, number: int, value: float, scenes: int = SCENES, wrong_by: float = 0.0) -> None:
    """Write an attempt as the real writers do, complete or not, and record it."""
    run_id = content_hash(number)
    run = replace(TEMPLATE, run_id=run_id, attempt=1, train_s=value, suite="chaos", method="writer_0")
    rows = [MetricRow(run_id, 1, f"scene_{scene}", "error", value + scene + wrong_by, "mm", "down") for scene in range(scenes)]
    arena.stores[0].write_attempt(run, rows, [])
    arena.note("written", run_id, 1, value)


@pytest.fixture
def arena(tmp_path: Path) -> Arena:
    found = Arena(tmp_path, 0)
    for number in range(4):
        write(found, number, number / 8)
    return found


def test_a_whole_store_is_whole(arena: Arena) -> None:
    arena.note("leased", 0)
    arena.note("merged", 3)
    found = chaos.count(arena, Tally(kills=2), 1.5)
    assert found == Tally(appends=4, kills=2, leases=1, merges=1, seconds=1.5)
    assert found.is_whole


FAULTS: dict[str, tuple[Callable[[Arena], None], dict[str, int]]] = {
    "an attempt that was acknowledged and is not there": (
        lambda arena: arena.note("written", content_hash("gone"), 1, 0.5),
        {"lost": 1},
    ),
    "an attempt with another value than its writer's": (
        lambda arena: (write(arena, 9, 0.25), arena.note("written", content_hash(9), 1, 0.75))[0],
        {"wrong": 1, "doubled": 1},
    ),
    "an attempt without one of its scenes": (lambda arena: write(arena, 9, 0.25, scenes=SCENES - 1), {"wrong": 1}),
    "an attempt with metrics that are not its own": (lambda arena: write(arena, 9, 0.25, wrong_by=1.0), {"wrong": 1}),
    "two writers who were told that they wrote the same attempt": (
        lambda arena: arena.note("written", content_hash(0), 1, 0.0),
        {"doubled": 1},
    ),
    "a lease held twice": (lambda arena: arena.note("leased twice", content_hash(0), 1, 2), {"leased_twice": 1}),
    "a process that gave up": (lambda arena: arena.note("failed", "compact_forever", "OSError: no"), {"problems": 1}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_seen(name: str, arena: Arena) -> None:
    happen, expected = FAULTS[name]
    happen(arena)
    found = chaos.count(arena, Tally(), 1.0)
    assert not found.is_whole
    seen = {fault: getattr(found, fault) for fault in ("lost", "wrong", "doubled", "leased_twice", "problems")}
    assert {fault: number for fault, number in seen.items() if number} == expected


def test_the_command_says_so_and_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[tuple[int, int]] = []

    def end_with(outcome: Tally) -> int:
        def run_chaos(folder: Path, appends: int, writers: int, seed: int) -> Tally:
            asked.append((appends, writers))
            Arena(folder, seed).note("failed", "merge_forever", "UserError: no room")
            return outcome

        monkeypatch.setattr(chaos, "run_chaos", run_chaos)
        return chaos.main()

    monkeypatch.setattr("sys.argv", ["chaos", "--quick", "--appends", "500", "--writers", "16"])
    assert end_with(Tally(appends=50)) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing was lost"
    assert end_with(Tally(appends=50, lost=1)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "merge_forever: UserError: no room"
    assert "FAULTS" in lines[-1]
    assert ["lost", "1"] in [line.split() for line in lines]
    assert asked == [(50, 2)] * 2


def test_a_killed_process_holds_no_lease_even_before_it_is_waited_for() -> None:
    assert chaos._is_alive(os.getpid())
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert chaos._is_alive(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not chaos._is_alive(process.pid)
    process.wait()
    assert not chaos._is_alive(process.pid)


def test_the_speed_of_both_states_of_a_store_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def measure_action(action: str, uri: str) -> dict[str, float]:
        asked.append(f"{action}, {len(list(Path(uri).rglob('*.parquet')))}")
        return {"wall": 1.0, "cpu": 0.5}

    monkeypatch.setattr(speed, "measure_action", measure_action)
    monkeypatch.setattr(speed.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr("sys.argv", ["speed", "--runs", "6", "--scenes", "2", "--metrics", "3"])
    speed.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("6 runs, 36 metric rows, written in ")
    # Before compaction there is one runs file and one metrics file per attempt.
    assert asked[:2] == ["board, 12", "one more, 12"]
    assert all(int(line.split(", ")[1]) < 12 for line in asked[2:])
    assert sum("1.00 s wall" in line for line in lines) == 4


def test_synthetic_runs_are_the_same_every_time_and_differ_from_one_another() -> None:
    run, rows = speed.synthetic_run(7, 3, 2)
    assert speed.synthetic_run(7, 3, 2) == (run, rows)
    assert len({(row.scene, row.metric) for row in rows}) == len(rows) == 6
    assert run.run_id != speed.synthetic_run(8, 3, 2)[0].run_id
    # Seeds of a method have consecutive numbers.
    assert [speed.synthetic_run(number, 1, 1)[0].seed for number in range(4, 7)] == [4, 0, 1]

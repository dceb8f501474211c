"""`deep3dmap train` as run by a user: its output while training, on Ctrl-C and SIGTERM, and its immediate errors."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from command_line import ended, start, wait_for

from deep3dmap.results.store import ResultStore

CHATTY = ("train", "method=faulty_methods:Chatty/mini", "dataset=toys:Dots", "trainer.batch_size=4", "results=results")
SLOW = ("method.delay=0.2", "trainer.max_steps=500", "trainer.checkpoint_every=2", "trainer.log_every=1")


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make sure there is no cluster to join, for example that of an earlier test."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def checkpoints(folder: Path) -> list[Path]:
    return list(folder.glob("results/work/*/checkpoints/step_*"))


def processes_of(session: int) -> list[str]:
    """Return the command lines of the running processes of a command, started in its own session, and its training process."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            line = Path(f"/proc/{entry}/cmdline").read_bytes().decode() if entry.isdigit() else ""
            fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split() if line else []
        except OSError:
            continue
        if fields and fields[0] != "Z" and (int(fields[3]) == session or int(fields[1]) == session):
            found.append(line)
    return found


def test_it_says_what_it_does_in_a_pipe_and_a_finished_run_is_not_resumed(tmp_path: Path) -> None:
    line = (*CHATTY, "method.delay=0.3", "trainer.max_steps=24", "trainer.log_every=1", "--json")
    out, error = ended(start(tmp_path, *line))
    first = json.loads(out)
    assert "training starts at step 0\n" in error
    assert "hello from step 0\n" in error
    assert "\nstep 1" in error
    assert "loss" in error
    assert "Ray" not in error
    began = time.monotonic()
    out, error = ended(start(tmp_path, *line, "--resume"))
    assert json.loads(out) == first
    assert error == "this run already finished at step 24; there is nothing to resume (--restart starts over)\n"
    assert time.monotonic() - began < 30
    assert len(ResultStore(str(tmp_path / "results")).runs(newest_only=False)) == 1


def test_a_run_that_met_its_time_limit_says_so(tmp_path: Path) -> None:
    line = (*CHATTY, "method.delay=0.3", "trainer.max_steps=400", "trainer.max_seconds=1")
    out, _ = ended(start(tmp_path, *line))
    first = out.splitlines()[0]
    assert first.startswith("trained ")
    assert first.endswith(" of 400 by trainer.max_seconds=1")
    out, _ = ended(start(tmp_path, *line, "--resume", "--json"))
    assert json.loads(out)["cut_short"].endswith(" of 400 by trainer.max_seconds=1")


def test_a_device_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    for workers in (1, 2):
        line = (*CHATTY, "trainer.max_steps=4", "device=cuda", f"trainer.workers={workers}")
        _, error = ended(start(tmp_path, *line, CUDA_VISIBLE_DEVICES=""), code=2)
        assert error.splitlines() == [
            "deep3dmap: device=cuda, but torch sees no CUDA device here; use device=cpu or a machine with a GPU"
        ]
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_at_once_and_the_run_can_be_resumed(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = start(tmp_path, *CHATTY, *SLOW)
    wait_for(lambda: len(checkpoints(tmp_path)) > 0, process)
    began = time.monotonic()
    process.send_signal(number)
    _, error = ended(process, code)
    assert time.monotonic() - began < 5
    assert "Traceback" not in error
    last = error.splitlines()[-1]
    assert last.startswith("deep3dmap: interrupted; the checkpoint at step" if code == 130 else "deep3dmap: terminated")
    assert last.endswith("run the same command with --resume to continue")
    assert processes_of(process.pid) == []
    assert ResultStore(str(tmp_path / "results")).runs().empty
    resumed = start(tmp_path, *CHATTY, *SLOW, "--resume")
    wait_for(lambda: "resuming at step" in _next_line(resumed), resumed)
    resumed.send_signal(signal.SIGTERM)
    ended(resumed, 143)


def _next_line(process: object) -> str:
    line: str = process.stderr.readline()  # type: ignore[attr-defined]
    return line

"""Generating many items: independent of the number of workers, which exit with their parent process, and announced."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deep3dmap.core.dataset import Preparation
from deep3dmap.data import preparation_progress
from deep3dmap.data.generation import item_seed, make_items
from deep3dmap.data.preparation_progress import describe, duration

# Each worker records its process id and then works for a minute.
FOREVER = """
import os, sys, time
from pathlib import Path
from deep3dmap.data.generation import make_items

def work(job):
    (Path(job) / str(os.getpid())).touch()
    time.sleep(60)

if __name__ == "__main__":
    make_items(work, [sys.argv[1]] * 4, title="minutes", workers=2)
"""


def test_seeds_depend_on_all_words() -> None:
    assert item_seed("rooms", 0, "train", 1) == item_seed("rooms", 0, "train", 1)
    assert len({item_seed(*words) for words in (("a", 1), ("a", 2), ("b", 1), ("a1",), (1, "a"))}) == 5


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent(how: signal.Signals, tmp_path: Path) -> None:
    script, notes = tmp_path / "forever.py", tmp_path / "notes"
    script.write_text(FOREVER)
    notes.mkdir()
    with subprocess.Popen([sys.executable, str(script), str(notes)]) as parent:
        workers = wait_for(lambda: [int(note.name) for note in notes.iterdir()], lambda found: len(found) == 2, 60)
        assert all(map(runs, workers))
        parent.send_signal(how)
        parent.wait()
    wait_for(lambda: [worker for worker in workers if runs(worker)], lambda alive: not alive, 3)


def wait_for(look, enough, seconds: float):  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not enough(found := look()):
        assert time.monotonic() < end, f"after {seconds} s: {found}"
        time.sleep(0.05)
    return found


def runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # A terminated process remains listed until its new parent reaps it.
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def double(number: int) -> int:
    return 2 * number


def test_a_pipe_gets_lines_and_an_announcement(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation_progress, "_SECONDS_BETWEEN_LINES", 0.0)
    assert make_items(double, [1, 2, 3], title="numbers", seconds=60.0, workers=1, quiet=False) == [2, 4, 6]
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "making 3 numbers, about 3 min on 1 core"
    assert [line.split(",")[0] for line in said[1:]] == ["numbers: 1 of 3", "numbers: 2 of 3"]


def test_what_is_quick_or_asked_to_be_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    make_items(double, [1, 2, 3], title="numbers", seconds=0.1, quiet=False)
    make_items(double, [1, 2, 3], title="numbers", seconds=100.0, quiet=True)
    make_items(double, [], title="numbers", seconds=100.0, quiet=False)
    make_items(double, [1], title="numbers", quiet=False)
    assert capsys.readouterr().err == ""


def test_few_quick_items_start_no_processes() -> None:
    # Jobs must be importable in the worker, which this module is not.
    own = ["__import__('os').getpid()"] * 3
    assert set(make_items(eval, own, title="numbers", seconds=0.1, workers=2)) == {os.getpid()}
    assert os.getpid() not in make_items(eval, own, title="numbers", seconds=10.0, workers=2)


def test_preparations_are_told_with_their_size_and_time() -> None:
    some = [Preparation("rooms (train)", 32, 160.0), Preparation("rooms (test)", 8, 40.0), Preparation("scans", 3, None)]
    assert describe(some, 2) == [
        "32 rooms (train), about 80 s on 2 cores",
        "8 rooms (test), about 20 s on 2 cores",
        "3 scans",
        "together, about 2 min on 2 cores",
    ]
    assert [duration(seconds) for seconds in (4, 89, 100, 5400, 10000)] == ["4 s", "89 s", "2 min", "1.5 h", "2.8 h"]

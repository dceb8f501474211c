"""Ray that does not start, or goes away: reported in time, ended with all its processes, and stored as a failed row."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import ended, start, wait_for

from deep3dmap.results.store import ResultStore
from deep3dmap.train.processes import command, descendants, end_processes

pytestmark = [pytest.mark.ray, pytest.mark.slow]
TWO = ("train", "method=faulty_methods:Chatty/mini", "dataset=toys:Dots", "trainer.batch_size=4", "trainer.workers=2")
LONG = ("trainer.max_steps=4000", "method.delay=0.2", "trainer.checkpoint_every=2", "trainer.log_every=1", "results=results")
LIMIT_S = 10.0
LIMIT = {"DEEP3DMAP_START_TIMEOUT_S": str(LIMIT_S), "RAY_ADDRESS": ""}
# For tests in which Ray has to start, on a machine that may be busy.
PATIENT = {"DEEP3DMAP_START_TIMEOUT_S": "30"}
Command = subprocess.Popen[str]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """A function that starts a command, whose processes are all ended after the test."""
    commands: list[Command] = []

    def begin(*settings: str, **variables: str) -> Command:
        commands.append(start(tmp_path, *TWO, *LONG, *settings, **{**LIMIT, **variables}))
        return commands[-1]

    yield begin
    for each in commands:
        left = [*descendants(each.pid), each.pid] if each.poll() is None else []
        end_processes(left)


def signal_when_it_appears(process: Command, text: str, number: signal.Signals, hit: list[int]) -> threading.Thread:
    """Send a signal to the first descendant of a command whose command line contains a text."""

    def watch() -> None:
        while not hit and process.poll() is None:
            for below in descendants(process.pid):
                if text in command(below):
                    os.kill(below, number)
                    hit.append(below)
                    break
            time.sleep(0.02)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def only_row(folder: Path) -> tuple[str, str]:
    runs = ResultStore(str(folder / "results")).runs(newest_only=False)
    assert len(runs) == 1
    return str(runs.iloc[0].status), str(runs.iloc[0].error)


def nothing_left(folder: Path) -> bool:
    """Return whether no process runs in the command's folder, where all of them start."""
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if Path(f"/proc/{entry}/cwd").readlink() == folder and Path(f"/proc/{entry}/cmdline").read_bytes():
                return False
        except OSError:
            continue
    return True


@pytest.mark.parametrize(
    ("part", "number", "said"),
    [
        ("gcs/gcs_server", signal.SIGSTOP, "Ray's GCS (its global control service) is stopped"),
        ("dashboard/dashboard.py", signal.SIGSTOP, "Ray's dashboard is stopped"),
        ("raylet/raylet", signal.SIGSTOP, "Ray's raylet (its node manager) is stopped"),
        ("raylet/raylet", signal.SIGKILL, "Ray"),
        ("dashboard/agent.py", signal.SIGKILL, "Ray"),
        ("runtime_env/agent/main.py", signal.SIGKILL, "Ray"),
    ],
    ids=str,
)
def test_a_part_that_hangs_or_dies_at_the_start(
    part: str, number: signal.Signals, said: str, tmp_path: Path, started: Callable[..., Command]
) -> None:
    process, hit = started(), list[int]()
    began = time.monotonic()
    thread = signal_when_it_appears(process, part, number, hit)
    _, error = ended(process, code=2)
    thread.join()
    assert hit
    assert time.monotonic() - began < 4 * LIMIT_S + 40
    assert "Traceback" not in error
    assert said in " ".join(error.split())
    status, why = only_row(tmp_path)
    assert status == "failed"
    assert said in why
    assert nothing_left(tmp_path)


def test_a_gcs_that_stops_in_mid_training_ends_the_run_and_sigterm_ends_it_at_once(
    tmp_path: Path, started: Callable[..., Command]
) -> None:
    process = started(**PATIENT)
    wait_for(lambda: list(tmp_path.glob("results/work/*/checkpoints/step_*")), process)
    thread = signal_when_it_appears(process, "gcs/gcs_server", signal.SIGSTOP, [])
    thread.join()
    time.sleep(3)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    ended(process, code=143)
    assert time.monotonic() - began < 5
    assert nothing_left(tmp_path)
    process = started("--resume", **PATIENT)
    wait_for(lambda: "resuming at step" in process.stderr.readline(), process)  # type: ignore[union-attr]
    wait_for(lambda: "training starts" in process.stderr.readline(), process)  # type: ignore[union-attr]
    thread = signal_when_it_appears(process, "gcs/gcs_server", signal.SIGSTOP, [])
    _, error = ended(process, code=2)
    thread.join()
    assert "still waiting for Ray to continue after 30 s: Ray's GCS (its global control service) is stopped" in error
    assert only_row(tmp_path)[0] == "failed"
    assert nothing_left(tmp_path)


def in_workers(tmp_path: Path, code: str) -> str:
    """Return a PYTHONPATH with which Ray's workers, and no other process, run some code at their start."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        f"import sys\nif any('default_worker' in text for text in sys.orig_argv): {code}\n"
    )
    return os.pathsep.join([str(broken), str(Path(__file__).parents[1] / "support"), os.environ.get("PYTHONPATH", "")])


def test_workers_that_hang_at_their_start_are_given_up(tmp_path: Path, started: Callable[..., Command]) -> None:
    paths = in_workers(tmp_path, "import time; time.sleep(3600)")
    began = time.monotonic()
    _, error = ended(started(PYTHONPATH=paths), code=2)
    assert time.monotonic() - began < 8 * LIMIT_S + 40
    assert "Traceback" not in error
    assert "for 10 s now" in error or "after 10 s" in error
    assert only_row(tmp_path)[0] == "failed"
    assert nothing_left(tmp_path)


def test_workers_that_exit_at_their_start_say_why(tmp_path: Path, started: Callable[..., Command]) -> None:
    paths = in_workers(tmp_path, "sys.exit('libcudart.so.99: cannot open')")
    began = time.monotonic()
    _, error = ended(started(PYTHONPATH=paths), code=2)
    assert time.monotonic() - began < 8 * LIMIT_S + 40
    assert "to be placed and to start after 10 s" in error
    assert "libcudart.so.99: cannot open" in error
    status, why = only_row(tmp_path)
    assert status == "failed"
    assert "libcudart.so.99: cannot open" in why
    assert nothing_left(tmp_path)


def test_an_interrupt_while_ray_starts_leaves_nothing(tmp_path: Path, started: Callable[..., Command]) -> None:
    process = started()
    wait_for(lambda: any("gcs/gcs_server" in command(below) for below in descendants(process.pid)), process)
    process.send_signal(signal.SIGINT)
    _, error = ended(process, code=130, seconds=30)
    assert "no checkpoint has been written yet: run the same command with --resume to continue" in error.splitlines()[-1]
    assert ResultStore(str(tmp_path / "results")).runs().empty
    assert nothing_left(tmp_path)

"""One worker trains in a separate process, without Ray: crashes, errors, output, and leftovers."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from loss_curves import loss_curve

from deep3dmap.core import DivergedError, UserError
from deep3dmap.testing import Subject
from deep3dmap.train.checkpoints import CheckpointFolder
from deep3dmap.train.engine import check_start, needs_ray, train
from deep3dmap.train.failures import NoResourcesError
from deep3dmap.train.hosts import choose_device
from deep3dmap.train.processes import ZOMBIE, descendants, state
from deep3dmap.train.resources import device_name

TOY, CHATTY, WORLD = "toys:Regression/mini", "faulty_methods:Chatty/mini", "toys:Dots"


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make sure there is no cluster to join, for example that of an earlier test."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_it_ends_where_the_same_training_in_this_process_does(tmp_path: Path) -> None:
    subject = Subject(TOY, tmp_path, WORLD)
    method, _ = subject.train("here", 6)
    summary = train(subject.job("there", max_steps=6), tmp_path / "ray")
    assert summary.steps == 6
    assert summary.parameters == sum(parameter.numel() for parameter in method.parameters())
    assert summary.device == device_name(choose_device("auto"))
    assert summary.peak_ram_mb > 0
    newest = CheckpointFolder(tmp_path / "there" / "checkpoints").newest()
    assert newest is not None
    for name, value in method.state_dict().items():
        assert torch.equal(newest[1]["method"][name], value), name
    assert not (tmp_path / "ray").exists()


def test_a_killed_process_is_started_again_and_ends_in_the_same_numbers(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    calm = Subject(TOY, tmp_path, WORLD)
    train(calm.job("calm", max_steps=10, checkpoint_every=2), tmp_path / "ray")
    subject = Subject("toys:KilledOnce/mini", tmp_path, WORLD, (f"method.mark='{tmp_path / 'mark'}'",))
    summary = train(subject.job("killed", max_steps=10, checkpoint_every=2), tmp_path / "ray")
    assert summary.steps == 10
    assert loss_curve(tmp_path / "killed") == loss_curve(tmp_path / "calm")
    said = capfd.readouterr().err
    assert "the training process was ended by signal 9 (SIGKILL); restarting it from step 4 (1 of 2)" in said


def test_a_process_that_dies_too_often_is_given_up(tmp_path: Path) -> None:
    subject = Subject("toys:KilledOnce/mini", tmp_path, WORLD, (f"method.mark='{tmp_path / 'mark'}'",))
    with pytest.raises(RuntimeError, match=r"after 0 restarts: the training process was ended by signal 9 \(SIGKILL\)"):
        train(subject.job("killed", max_steps=10, max_failures=0), tmp_path / "ray")


def test_mistakes_and_divergence_come_back_as_they_were_raised(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="not finite"):
        train(Subject(TOY, tmp_path, WORLD, ("dataset.nan_after=3",)).job("nan", max_steps=6), tmp_path / "ray")
    with pytest.raises(UserError, match=r"trainer\.batch_size=64"):
        train(Subject(TOY, tmp_path, WORLD).job("greedy", max_steps=2, batch_size=64), tmp_path / "ray")


def test_an_error_of_the_method_is_shown_and_not_tried_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    subject = Subject(CHATTY, tmp_path, WORLD, ("method.raise_at=3",))
    with pytest.raises(RuntimeError, match=r"KeyError: .a method's own mistake. \(faulty_methods\.py:\d+, in train_steps\)"):
        train(subject.job("raises", max_steps=6), tmp_path / "ray")
    said = capfd.readouterr().err
    assert said.count("hello from step 0") == 1
    assert "Traceback" in said


def test_a_process_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "torch.py").write_text("raise ImportError('no kernel image for this machine')")
    monkeypatch.syspath_prepend(str(broken))
    job = Subject(TOY, tmp_path, WORLD).job("broken", max_steps=2)
    with pytest.raises(RuntimeError, match=r"(?s)ended with exit code 1 before it began: .*no kernel image for this machine"):
        train(job, tmp_path / "ray")


def test_a_process_that_hangs_at_its_start_is_told_of_and_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    hanging = tmp_path / "hanging"
    hanging.mkdir()
    (hanging / "torch.py").write_text("import time; print('looking for a licence', flush=True); time.sleep(600)")
    monkeypatch.syspath_prepend(str(hanging))
    monkeypatch.setenv("DEEP3DMAP_START_TIMEOUT_S", "1")
    job = Subject(TOY, tmp_path, WORLD).job("hanging", max_steps=2)
    with pytest.raises(
        RuntimeError, match="gave up after waiting 4 s for the training process to start: looking for a licence"
    ):
        train(job, tmp_path / "ray")
    assert "still waiting for the training process to start after 2 s: looking for a licence" in capfd.readouterr().err


def test_what_this_machine_has_not_is_said_at_once(tmp_path: Path) -> None:
    job = Subject(TOY, tmp_path, WORLD).job("greedy", max_steps=2, cpus_per_worker=4096.0)
    with pytest.raises(NoResourcesError, match=r"asked for 4096 CPU; there is on node 1: \d+ CPU"):
        train(job, tmp_path / "ray")


def test_who_needs_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(TOY, tmp_path, WORLD)
    assert not needs_ray(subject.job("a", max_steps=2))
    assert needs_ray(subject.job("a", max_steps=2, workers=2))
    assert needs_ray(subject.job("a", max_steps=2, engine="train"))
    with pytest.raises(UserError, match=r"trainer\.engine=tune"):
        check_start(subject.job("a", max_steps=2, engine="tune"))
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert needs_ray(subject.job("a", max_steps=2))


def test_it_listens_nowhere(tmp_path: Path) -> None:
    found = tmp_path / "addresses"
    subject = Subject(CHATTY, tmp_path, WORLD, (f"method.listening='{found}'",))
    train(subject.job("listening", max_steps=2), tmp_path / "ray")
    assert found.read_text() == ""


def test_nothing_is_left_of_it(tmp_path: Path) -> None:
    before = set(descendants())
    train(Subject(TOY, tmp_path, WORLD).job("short", max_steps=2, loader_workers=1), tmp_path / "ray")
    assert set(descendants()) == before


ORPHANS = """
import subprocess, sys, time
from deep3dmap.train.processes import adopt_orphans, descendants, end_descendants
adopt_orphans()
# A grandchild whose parent leaves at once, and one that is stopped.
subprocess.run(["sh", "-c", "sleep 600 & sleep 600 & kill -STOP $!"])
assert len(descendants()) == 2, descendants()
assert end_descendants() == []
assert descendants() == []
"""


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")
def test_orphans_and_stopped_processes_are_ended_too() -> None:
    subprocess.run([sys.executable, "-c", ORPHANS], check=True, timeout=60)


WAITING = """
import time
from deep3dmap.train.own_process import OwnProcess
print(OwnProcess().process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes die with their parent on Linux only")
def test_it_dies_with_a_command_that_is_killed(tmp_path: Path) -> None:
    command = subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True)
    assert command.stdout is not None
    process = int(command.stdout.readline())
    until = time.monotonic() + 60
    while b"training_process" not in Path(f"/proc/{process}/cmdline").read_bytes():
        time.sleep(0.05)
    time.sleep(2)
    command.send_signal(signal.SIGKILL)
    command.wait()
    # The process that adopts it may never reap it.
    while state(process) not in ("", ZOMBIE) and time.monotonic() < until:
        time.sleep(0.05)
    assert state(process) in ("", ZOMBIE)

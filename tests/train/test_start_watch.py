"""Waiting for a library reports delays, gives up, and reacts to signals; progress is shown on terminals and in pipes."""

import io
import os
import secrets
import signal
import socket
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pytest
import ray

from deep3dmap.core import UserError
from deep3dmap.train import ray_runtime, start_watch
from deep3dmap.train.progress import PROGRESS_FILE, Progress, ProgressLine
from deep3dmap.train.start_limit import start_limit_s
from deep3dmap.train.start_watch import StartClock, StartError, run_watched
from deep3dmap.train.transcript import OUTPUT, PROGRESS, Transcript


def test_what_a_call_returns_and_raises_comes_through() -> None:
    assert run_watched(lambda: 3, lambda: None) == 3
    with pytest.raises(TimeoutError, match="its own"):
        run_watched(lambda: (_ for _ in ()).throw(TimeoutError("its own")), lambda: None)


def test_a_call_that_ends_as_the_wait_does_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(Future[int]):
        def result(self, timeout: float | None = None) -> int:
            if timeout is None:
                return super().result()
            while not self.done():
                time.sleep(0.001)
            raise TimeoutError

    monkeypatch.setattr(start_watch, "Future", Late)
    assert run_watched(lambda: 3, lambda: None) == 3


def test_a_start_that_hangs_is_told_of_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEP3DMAP_START_TIMEOUT_S", "0.3")
    said: list[str] = []
    clock = StartClock("Godot to come", lambda: "he is late", said.append)
    with pytest.raises(StartError, match=r"gave up after waiting 1\.2 s for Godot to come: he is late"):
        run_watched(lambda: time.sleep(60), clock.check)
    assert said == [f"still waiting for Godot to come after {seconds} s: he is late" for seconds in ("0.3", "0.6", "0.9")]


def test_ray_takes_no_port_that_is_taken_or_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    choose = secrets.choice
    with socket.socket() as another:
        another.bind(("127.0.0.1", ray_runtime._free_port()))
        taken = another.getsockname()[1]
        tried = iter([taken])
        monkeypatch.setattr("secrets.choice", lambda among: next(tried, None) or choose(among))
        port = ray_runtime._free_port()
    assert next(tried, None) is None
    assert port != taken
    assert 20000 <= port < 32768


def test_ray_is_given_as_long_as_the_clock_for_its_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEP3DMAP_START_TIMEOUT_S", "45")
    monkeypatch.delenv("RAY_DASHBOARD_STARTUP_TIMEOUT_S", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "cluster_resources", dict)
    ray_runtime.connect()
    assert os.environ["RAY_DASHBOARD_STARTUP_TIMEOUT_S"] == "181"


def test_a_dashboard_that_ray_gave_up_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def gives_up(**_: object) -> None:
        raise RuntimeError("The last 20 lines of /a/dashboard.log (it contains the error message from the dashboard): \n2026")

    monkeypatch.setattr(ray, "init", gives_up)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_runtime, "session_folder", lambda: tmp_path)
    monkeypatch.setattr(ray_runtime, "private_token", lambda: None)
    for name in ("RAY_ADDRESS", "RAY_GCS_SERVER_PORT", "PYTHONPATH"):
        monkeypatch.setenv(name, "")
    with pytest.raises(StartError, match="its dashboard did not start; is the machine very busy") as caught:
        ray_runtime.connect()
    assert "The last 20" not in str(caught.value)


def test_a_patient_clock_only_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEP3DMAP_START_TIMEOUT_S", "0.1")
    said: list[str] = []
    run_watched(lambda: time.sleep(1), StartClock("a place", lambda: "", said.append, gives_up=False).check)
    assert len(said) >= 5


def test_an_interrupt_is_heeded_while_a_library_waits() -> None:
    # A shell starts background processes with interrupts ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            run_watched(lambda: time.sleep(60), lambda: None)
        assert time.monotonic() - began < 5
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("text", ["soon", "0", "-3", "nan"])
def test_a_limit_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEP3DMAP_START_TIMEOUT_S", text)
    with pytest.raises(UserError, match=f"DEEP3DMAP_START_TIMEOUT_S={text} is not a positive number"):
        start_limit_s()


class Terminal(io.StringIO):
    """A stream that records the output to a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_line_is_redrawn_on_a_terminal_and_the_methods_words_stand_above_it() -> None:
    terminal = Terminal()
    line = ProgressLine(terminal)
    line.show("step 1")
    line.show("step 1")
    line.say("hello")
    line.show("step 2")
    line.close()
    assert terminal.getvalue() == "\r\x1b[2Kstep 1\r\x1b[2Khello\nstep 1\r\x1b[2Kstep 2\n"


def test_in_a_pipe_a_line_comes_every_few_seconds_and_a_new_stage_at_once() -> None:
    pipe = io.StringIO()
    line = ProgressLine(pipe, every_s=0.3)
    until, step = time.monotonic() + 1.0, 0
    line.show("opening the data")
    while time.monotonic() < until:
        step += 1
        line.show(f"step {step}")
        time.sleep(0.01)
    lines = pipe.getvalue().splitlines()
    assert lines[0] == "opening the data"
    assert 2 <= len(lines) - 1 <= 4
    assert all(text.startswith("step ") for text in lines[1:])


def test_a_transcript_shows_what_another_process_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / OUTPUT).write_text("of an earlier run\n")
    pipe = io.StringIO()
    transcript = Transcript(tmp_path, ProgressLine(pipe, every_s=0.0))
    monkeypatch.setenv(PROGRESS_FILE, str(tmp_path / PROGRESS))
    transcript.show_new()
    assert not transcript.heard
    Progress(total_steps=40, max_seconds=0.0).show(10, 5.0, {"loss": 0.5})
    with (tmp_path / OUTPUT).open("a") as stream:
        stream.write("hello\nhalf a li")
    transcript.show_new()
    assert transcript.heard
    with (tmp_path / OUTPUT).open("a") as stream:
        stream.write("ne")
    transcript.close()
    assert pipe.getvalue().splitlines() == ["hello", "step 10/40  loss 0.5  2.0 steps/s  0:15 left", "half a line"]

"""Reports about a Ray process that has ended."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deep3dmap.train.ray_health import RayHealth


@pytest.fixture
def raylet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["subprocess.Popen[bytes]"]:
    """A process with the command line of a raylet, the only one visible: earlier tests may have left a Ray running."""
    line = [sys.executable, "-c", "import time; time.sleep(60)", "raylet/raylet", f"--log_dir={tmp_path}"]
    process = subprocess.Popen(line)
    monkeypatch.setattr("deep3dmap.train.ray_health.descendants", lambda: [process.pid] if process.poll() is None else [])
    yield process
    process.kill()
    process.wait()


def seen(health: RayHealth) -> None:
    """Wait until the process runs its own command, a moment after it is forked."""
    until = time.monotonic() + 30
    while not health._seen and time.monotonic() < until:
        assert health.lost() == ""
        time.sleep(0.01)


@pytest.mark.parametrize("written", [True, False])
def test_the_last_lines_of_a_raylet_that_has_ended_are_told(
    written: bool, tmp_path: Path, raylet: "subprocess.Popen[bytes]"
) -> None:
    health = RayHealth()
    seen(health)
    if written:
        lines = [":job_id:01000000", *(f"line {number}" for number in range(20)), "Check failed: no space left on device"]
        (tmp_path / "raylet.err").write_text("\n".join(lines) + "\n")
    raylet.kill()
    raylet.wait()
    told = health.lost().splitlines()
    if not written:
        assert told == ["Ray's raylet (its node manager) has ended"]
        return
    assert told[0] == f"Ray's raylet (its node manager) has ended; its last output ({tmp_path / 'raylet.err'}):"
    assert told[-1] == "Check failed: no space left on device"
    assert len(told) == 13

"""The addresses that a private Ray and its workers listen on, checked socket by socket, in separate processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import ended, start

pytestmark = [pytest.mark.ray, pytest.mark.slow]
LISTENING = """
import json
from deep3dmap.train.ray_runtime import connect
connect(cpus=1)
import psutil  # comes with Ray
family = [psutil.Process(), *psutil.Process().children(recursive=True)]
ends = [end.laddr.ip for process in family for end in process.net_connections("inet") if end.status == psutil.CONN_LISTEN]
print(json.dumps(ends))
"""
# As in /proc/net: 127.0.0.1, and the same as an IPv6 address.
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}


def test_on_loopback_only() -> None:
    environment = {**os.environ, "RAY_ADDRESS": ""}
    done = subprocess.run([sys.executable, "-c", LISTENING], capture_output=True, text=True, timeout=200, env=environment)
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout.strip().splitlines()[-1])
    assert len(ends) > 3
    assert set(ends) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_two_workers_meet_on_loopback(tmp_path: Path) -> None:
    found = tmp_path / "addresses"
    line = ("train", "method=faulty_methods:Chatty/mini", "dataset=toys:Dots", "trainer.batch_size=4", "trainer.workers=2")
    _, error = ended(start(tmp_path, *line, "trainer.max_steps=2", f"method.listening={found}", RAY_ADDRESS=""))
    # Torch's store is among them.
    assert len(found.read_text().split()) >= 2
    assert set(found.read_text().split()) <= LOOPBACK
    assert "hello from step 0" in error
    assert "placing the workers" in error

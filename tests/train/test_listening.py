"""What a Ray of our own listens on, looked up socket by socket; in a process of its own, which has a Ray of its own."""

import json
import os
import subprocess
import sys

import pytest

LISTENING = """
import json
from deep3dmap.train.ray_runtime import connect
connect(cpus=1)
import psutil  # comes with Ray
family = [psutil.Process(), *psutil.Process().children(recursive=True)]
ends = [end.laddr.ip for process in family for end in process.net_connections("inet") if end.status == psutil.CONN_LISTEN]
print(json.dumps(ends))
"""


@pytest.mark.ray
@pytest.mark.slow
def test_on_loopback_only() -> None:
    environment = {**os.environ, "RAY_ADDRESS": ""}
    done = subprocess.run([sys.executable, "-c", LISTENING], capture_output=True, text=True, timeout=200, env=environment)
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout.strip().splitlines()[-1])
    assert len(ends) > 3
    assert set(ends) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}

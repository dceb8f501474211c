"""`submit` and plain `ray job submit` as run by a user, against a head on loopback that requires a token."""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from deep3dmap.cli import main
from deep3dmap.cli.submit import check_command
from deep3dmap.cluster.upload import build_upload, editable_checkout
from deep3dmap.core.errors import UserError

RUN = Path(sys.executable).parent
SMALL = ["dataset=heads/smoke", "trainer.max_steps=6", "method.width=4"]


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ([], "which verb?"),
        (["dashboard"], "unknown verb of a job 'dashboard'"),
        (["train", "method=prnet"], "needs results="),
        (["train", "results=out"], "results=out: a job runs elsewhere"),
        (["benchmark", "results=/a", "dataset.sevenscenes.root=data"], "dataset.sevenscenes.root=data"),
    ],
)
def test_commands_that_mean_something_else_there(verb: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words.replace("?", r"\?")):
        check_command(verb)


def test_the_folder_that_has_to_be_shared() -> None:
    assert check_command(["train", "results=/shared/r", "seed=1"]) == "/shared/r"
    assert check_command(["benchmark", "results=s3://bucket/r"]) == ""
    assert check_command(["methods"]) == ""


def test_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    assert main(["submit", "--address", address, "--", "methods"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "no job server answers" in lines[0]


class Guarded(BaseHTTPRequestHandler):
    """A job server that requires a token, but accepts any."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("X-Ray-Authorization") or self.headers.get("Authorization") or "")
        body = b"Unauthorized: Missing authentication token"
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_the_token_is_brought_where_one_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a" * 64)
    with ThreadingHTTPServer(("127.0.0.1", 0), Guarded) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        line = [str(RUN / "deep3dmap"), "submit", "--address", f"http://127.0.0.1:{server.server_port}", "--", "methods"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
        done = subprocess.run(
            line,
            capture_output=True,
            text=True,
            timeout=100,
            env=environment | {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")},
        )
        server.shutdown()
    assert done.returncode == 2
    assert "put the head's token in ~/.ray/auth_token" in done.stderr
    # No token is sent before it is requested.
    assert not Guarded.seen[0]
    assert "a" * 64 in Guarded.seen[-1]


class Head:
    """A head of one node; `environment` is that of a user with its token."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, _free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "RAY_AUTH_MODE")},
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "DEEP3DMAP_CACHE": str(folder / "cache"),
            "PATH": f"{RUN}{os.pathsep}{os.environ['PATH']}",
        }

    def start(self) -> None:
        places = [f"--port={_free_port()}", f"--dashboard-port={self.port}", f"--dashboard-agent-listen-port={_free_port()}"]
        local = ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--temp-dir={self.folder / 'ray'}"]
        self.run("ray", "start", "--head", *places, *local, "--num-cpus=2", "--object-store-memory=200000000")

    def run(self, *command: str, check: bool = True, **changed: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, **changed}
        done = subprocess.run(
            [str(RUN / command[0]), *command[1:]], capture_output=True, text=True, timeout=500, env=environment
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def stop(self) -> None:
        # `ray stop` would end every Ray on the machine.
        subprocess.run(["pkill", "-f", str(self.folder / "ray")])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    # Ray's sockets are inside its folder, and their paths must be short.
    with tempfile.TemporaryDirectory(prefix="d3") as folder:
        made = Head(Path(folder))
        made.start()
        yield made
        made.stop()


needs_plain_install = pytest.mark.skipif(
    editable_checkout() is not None, reason="an editable install takes precedence over the shipped code"
)


@pytest.mark.ray
@pytest.mark.slow
@needs_plain_install
@pytest.mark.parametrize(
    "verb",
    [
        ["train", "method=prnet/mini", *SMALL],
        ["benchmark", "suite=face", "tier=smoke", "methods=[mean_face]", "seeds=1"],
        ["tune", "method=prnet/mini", *SMALL, "tune.trials=2"],
    ],
    ids=lambda verb: verb[0],
)
def test_a_verb_as_a_job(head: Head, verb: list[str], tmp_path: Path) -> None:
    done = head.run("deep3dmap", "submit", "--address", head.address, "--json", "--", *verb, f"results={tmp_path / 'results'}")
    assert json.loads(done.stdout.strip().splitlines()[-1])["status"] == "SUCCEEDED"
    assert "every node reads and writes" in done.stdout
    assert list((tmp_path / "results").rglob("*.parquet"))


@pytest.mark.ray
@pytest.mark.slow
@needs_plain_install
def test_plain_ray_job_submit(head: Head, tmp_path: Path) -> None:
    build_upload(tmp_path / "ship")
    verb = ["benchmark", "suite=face", "tier=smoke", "methods=[mean_face]", "seeds=1", f"results={tmp_path / 'results'}"]
    shipped = ["--address", head.address, "--working-dir", str(tmp_path / "ship")]
    head.run("ray", "job", "submit", *shipped, "--", "python", "-m", "deep3dmap.cli", *verb)
    assert list((tmp_path / "results").rglob("*.parquet"))


@pytest.mark.ray
@pytest.mark.slow
@needs_plain_install
def test_a_job_that_fails_and_a_user_without_the_token(head: Head, tmp_path: Path) -> None:
    verb = ["train", "method=prnet/mini", "dataset=heads/smoke", "trainer.max_stepz=6", f"results={tmp_path}"]
    done = head.run("deep3dmap", "submit", "--address", head.address, "--", *verb, check=False)
    assert done.returncode == 1
    assert "trainer.max_stepz" in done.stdout + done.stderr
    (tmp_path / "wrong").write_text(secrets.token_hex(32))
    refused = head.run(
        "deep3dmap",
        "submit",
        "--address",
        head.address,
        "--",
        "methods",
        check=False,
        RAY_AUTH_TOKEN_PATH=str(tmp_path / "wrong"),
    )
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1

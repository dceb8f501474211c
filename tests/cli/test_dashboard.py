import os
import socket
import subprocess
import sys
from itertools import pairwise

import pytest
from stores import build_store

from deep3dmap.cli import dashboard, main
from deep3dmap.dashboard import reading


@pytest.fixture
def started(monkeypatch):
    """The command lines that the verb would execute, recorded instead of executed."""
    calls = []
    monkeypatch.setattr("os.execve", lambda *call: calls.append(call))
    return calls


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_serves_this_machine_only_and_sends_nothing_home(started, free_port, tmp_path, capsys):
    store = build_store(tmp_path, seeds=1, scenes=1)
    dashboard.main([f"results={tmp_path}", "--port", str(free_port)])
    (program, command, environment) = started[0]
    assert program == sys.executable
    first = command.index("run") + 2
    options = dict(zip(command[first::2], command[first + 1 :: 2]))
    assert options["--server.address"] == "127.0.0.1"
    assert options["--server.headless"] == "true"
    assert options["--browser.gatherUsageStats"] == "false"
    assert environment[reading.RESULTS_VARIABLE] == store.uri
    assert f"http://127.0.0.1:{free_port}" in capsys.readouterr().out


def test_both_ends_name_the_variable_alike():
    assert dashboard.RESULTS_VARIABLE == reading.RESULTS_VARIABLE


def test_port_in_use_is_said_in_one_line(started, tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["dashboard", f"results={tmp_path}", "--port", str(taken.getsockname()[1])]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--port" in error
    assert not started


@pytest.mark.parametrize("line", [["--port", "many"], ["--port", "99999"], ["resluts=here"], ["--adress", "0.0.0.0"]])
def test_mistakes_are_one_line_and_start_nothing(line, started, tmp_path, monkeypatch, capsys):
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["dashboard", *line]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not started


def test_a_place_that_nobody_can_read_is_one_line(started, capsys):
    assert main(["dashboard", "results=nonsense://bucket"]) == 2
    assert "results=nonsense://bucket" in capsys.readouterr().err
    assert not started


def test_what_only_the_server_needs_is_not_imported_before_it(tmp_path):
    code = "import sys; from deep3dmap.cli import dashboard; dashboard.existing_location(sys.argv[1:])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-X", "importtime", "-c", code, f"results={tmp_path}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "deep3dmap.cli.dashboard" in imported
    assert not imported & {"pandas", "pyarrow", "streamlit"}


def test_store_that_is_not_there_is_named(started, tmp_path, capsys):
    assert main(["dashboard", f"results={tmp_path / 'nowhere'}"]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert not started


@pytest.mark.parametrize(
    ("address", "names", "allowed"),
    [
        ("127.0.0.1", [], {"localhost", "127.0.0.1", "::1"}),
        ("10.0.0.7", ["board.lab"], {"localhost", "127.0.0.1", "::1", "10.0.0.7", "board.lab"}),
    ],
)
def test_only_names_of_this_host_are_answered(address, names, allowed):
    command = dashboard.server_command(address, 8501, names)
    given = {value for name, value in pairwise(command) if name == "--server.allowedHosts"}
    assert given == allowed


def test_on_all_addresses_the_machine_is_known_by_its_name(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "gpu-box")
    assert "gpu-box" in dashboard.server_command("0.0.0.0", 8501)


def test_light_and_dark_follow_the_viewer(started, free_port, tmp_path):
    build_store(tmp_path, seeds=1, scenes=1)
    dashboard.main([f"results={tmp_path}", "--port", str(free_port)])
    # An option of `theme.` itself would force one theme on everyone.
    names = [part for part in started[0][1] if part.startswith("--theme.")]
    assert {name.split(".")[1] for name in names} == {"light", "dark"}

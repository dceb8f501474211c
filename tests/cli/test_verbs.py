"""Verbs that need no Ray, as run by a user; `--help` is fast; errors are one line and exit code 2."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deep3dmap.cli import main
from deep3dmap.core import known_keys

Captured = pytest.CaptureFixture[str]
LOADED = "import sys; from deep3dmap.cli import main; heavy = lambda *names: [n for n in names if n in sys.modules]"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deep3dmap.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_help_lists_the_verbs_and_loads_neither_torch_nor_ray() -> None:
    code = f"{LOADED}; main(['--help']); print('HEAVY', heavy('torch', 'ray', 'numpy'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "benchmark" in done.stdout
    assert "HEAVY []" in done.stdout


@pytest.mark.parametrize(
    "verb", ["benchmark", "train", "evaluate", "leaderboard", "results", "data", "methods", "doctor", "dashboard"]
)
def test_the_help_of_a_verb_has_examples_and_needs_no_torch(verb: str) -> None:
    code = f"{LOADED}\ntry: main(['{verb}', '--help'])\nexcept SystemExit: pass\nprint('HEAVY', heavy('torch', 'ray'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "examples:" in done.stdout
    assert "HEAVY []" in done.stdout


def test_version_and_unknown_verb() -> None:
    assert run("--version").stdout.strip() == "0.1.0"
    done = run("benchmrak")
    assert done.returncode == 2
    assert done.stderr.strip() == "deep3dmap: unknown verb 'benchmrak'; did you mean 'benchmark'?"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("benchmark",), "which suite?"),
        (("benchmark", "suite=fase"), "unknown suite 'fase'; did you mean 'face'?"),
        (("benchmark", "suite=face", "tier=smok"), "suite 'face' has no tier 'smok'; did you mean 'smoke'?"),
        (("benchmark", "suite=face", "methods=[prnt]"), "unknown method 'prnt'; did you mean 'prnet'?"),
        (("benchmark", "suite=face", "methods=[tsdf_fusion]"), "method 'tsdf_fusion' cannot enter suite 'face': it needs"),
        (("benchmark", "suite=face", "seedz=1"), "unknown key 'seedz'; did you mean 'seeds'?"),
        (("benchmark", "suite=face", "--bogus"), "unrecognized arguments: --bogus"),
        (("benchmark", "suite=face", "tier=smoke", "method.pernet.width=8"), "did you mean 'method.prnet.width'?"),
        (("benchmark", "suite=face", "tier=smoke", "dataset.haeds.train=8"), "did you mean 'dataset.heads.train'?"),
        (("benchmark", "suite=face", "tier=smoke", "seeds=-1"), "seeds=-1: must be at least 0"),
        (("benchmark", "suite=face", "tier=smoke", "methods=prnt"), "unknown method 'prnt'; did you mean 'prnet'?"),
        (("benchmark", "suite=face", "tier=smoke", "trainer.batch_size=0"), "trainer.batch_size=0: must be at least 1"),
        (("train", "method=prnet", "dataset=heads/smoke", "optimizer.lr=-1"), "optimizer.lr=-1.0: must be more than 0"),
        (("reconstruct", "tsdf_fusion", ".", "-o", "o", "dataset.box=1,2,3,4"), "write a list as dataset.box=[1,2,3,4]"),
        (("benchmark", "suite=indoor", "dataset=sevenscenes", "methods=[tsdf_fusion]"), "pass dataset.root="),
        (("benchmark", "suite=indoor", "dataset=sevenscenes", "dataset.root=/no/such", "methods=[tsdf_fusion]"), "/no/such"),
        (("train", "method=prnet"), "which dataset?"),
        (("train", "method=prnet", "dataset=heads/smoke", "trainer.workerz=2"), "did you mean 'trainer.workers'?"),
        (("train", "method=prnet", "dataset=heads/smoke", "method.width=wide"), "method.width"),
        (("methods", "prnett"), "did you mean 'prnet'?"),
        (("reconstruct", "tsdf_fusion", "/no/such", "-o", "x"), "/no/such: no such file or folder"),
        (("evaluate", "/no/such", "suite=face"), "no checkpoint.json"),
        (("data", "generate", "sevenscenes"), "is read from disk, not generated"),
        (("data", "prepare", "rooms/smoke", "--ray"), "is prepared on one machine"),
        (("leaderboard", "results=/no/such"), "/no/such"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_mistakes(
    arguments: tuple[str, ...],
    message: str,
    capsys: Captured,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(list(arguments)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("verb", ["methods", "datasets", "suites"])
def test_lists_and_cards(verb: str, capsys: Captured) -> None:
    assert main([verb, "--json"]) == 0
    pages = json.loads(capsys.readouterr().out)
    assert pages
    for page in pages:
        assert main([verb, page["name"]]) == 0
        assert page["card"]["title"] in " ".join(capsys.readouterr().out.split())
    assert main([verb]) == 0
    assert pages[0]["name"] in capsys.readouterr().out


def test_cfg_shows_values_and_sources(capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["train", "method=prnet/mini", "dataset=heads/smoke", "trainer.max_steps=7"]
    assert main([*line, "--cfg", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["sources"]["trainer.max_steps"] == "command line"
    assert shown["sources"]["method.width"] == "variant prnet/mini"
    assert main([*line, "--cfg"]) == 0
    assert "command line" in capsys.readouterr().out
    saved = tmp_path / "run.json"
    saved.write_text(json.dumps(shown))
    assert main(["train", f"from={saved}", "seed=3", "--cfg", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["config"] == {**shown["config"], "seed": 3}


def test_dry_run_names_the_runs_and_ids_are_stable(capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = [
        "benchmark",
        "suite=face",
        "tier=smoke",
        "untrained=true",
        "seeds=2",
        "datasets=[heads/smoke]",
        "dataset.train=4",
        "dataset.val=1",
    ]
    sizes = [text for text in line if text.startswith("dataset.")]
    assert main(["data", "generate", "heads/smoke", *sizes, "dataset.test=1", f"data.cache={tmp_path}/cache"]) == 0
    capsys.readouterr()
    outputs = []
    for results in ("a", "b"):
        assert main([*line, "dataset.test=1", f"results={results}", f"data.cache={tmp_path}/cache", "--dry-run"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    ids = [line.split()[0] for line in outputs[0].splitlines()]
    assert len(ids) == len(set(ids)) == 6
    assert sum("untrained" in line for line in outputs[0].splitlines()) == 2


@pytest.mark.parametrize(
    "line",
    [
        ["benchmark", "suite=indoor", "tier=quick", "seeds=1", "methods=tsdf_fusion"],
        ["benchmark", "suite=face", "tier=smoke", "seeds=1", "methods=prnet"],
        ["train", "method=prnet/mini", "dataset=heads/smoke"],
    ],
    ids=" ".join,
)
def test_a_dry_run_makes_nothing_and_says_what_would_be_made(line: list[str], elsewhere: Path, capsys: Captured) -> None:
    assert main([*line, "data.cache=cache", "--dry-run"]) == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 1
    assert "would prepare " in told.err
    assert list(elsewhere.iterdir()) == []


def test_a_dry_run_looks_for_the_root_first(elsewhere: Path, capsys: Captured) -> None:
    assert main(["benchmark", "suite=indoor", "dataset=sevenscenes", "dataset.root=/no/such", "--dry-run"]) == 2
    assert "/no/such: no such folder" in capsys.readouterr().err
    assert list(elsewhere.iterdir()) == []


def test_keys_have_shapes_and_units(capsys: Captured) -> None:
    assert main(["keys"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert set(known_keys()) < set(rows)
    assert "(68, 3) float32" in rows["landmarks_68"]
    assert "pixels of `image`" in rows["landmarks_68"]
    assert main(["keys", "head_pose", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["unit"].startswith("radians")
    assert main(["keys", "depthz"]) == 2
    assert "unknown key 'depthz'; did you mean 'depths'?" in capsys.readouterr().err


def test_the_help_names_the_default_tier(capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main(["benchmark", "--help"])
    assert "tier=quick " in capsys.readouterr().out


def test_doctor_reports_every_part(capsys: Captured) -> None:
    assert main(["doctor", "--json"]) == 0
    findings = {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert findings["torch"]["works"]
    assert findings["native kernels"]["works"]


def test_data_generates_and_checks(capsys: Captured, tmp_path: Path) -> None:
    line = ["heads/smoke", "dataset.train=3", "dataset.val=1", "dataset.test=2", f"data.cache={tmp_path}", "data.workers=1"]
    assert main(["data", "generate", *line]) == 0
    first = capsys.readouterr().out
    assert main(["data", "check", *line]) == 0
    assert "test: 2 samples" in capsys.readouterr().out
    assert "version" in first

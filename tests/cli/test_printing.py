"""Printed output: unabbreviated names in pipes, literal brackets, and no untrusted control characters."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from deep3dmap.cli import check, main
from deep3dmap.cli.run_plans import ProgressPrinter
from deep3dmap.cli.sweep_table import trial_line
from deep3dmap.cli.tables import print_table, table
from deep3dmap.core import methods

Captured = pytest.CaptureFixture[str]
TITLE_OF_TERMINAL = "\x1b]0;owned\x07"


def test_a_pipe_gets_one_whole_line_per_row(capsys: Captured) -> None:
    rows = table("name", "text")
    rows.add_row("a" * 90, "long " * 60)
    print_table(rows)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].split()[0] == "a" * 90
    assert lines[1].endswith("long")


def test_a_line_of_the_report_card_is_whole_in_a_pipe(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = SimpleNamespace(dataset_choice="none", dataset=None)
    monkeypatch.setattr(check, "Subject", lambda *_: subject)
    monkeypatch.setitem(check.CHECKS, "cost", lambda _: "word " * 40 + "end")
    assert main(["check", "prnet", "--only", "cost"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("pass")]
    assert line.endswith("end")


def test_the_outcome_of_a_run_is_one_line_in_a_pipe(capsys: Captured) -> None:
    plan = SimpleNamespace(title="method/" + "long_" * 20 + "variant on dataset/variant, seed 0")
    run = SimpleNamespace(plan=plan, status="ok", headline=0.5, seconds=2.0)
    ProgressPrinter(Console(stderr=True))("ended", run, 1, 2)  # type: ignore[arg-type]
    assert capsys.readouterr().err == f"[1/2] ok {plan.title}  0.5  (2 s)\n"


def test_names_of_keys_are_whole_in_a_pipe() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deep3dmap.cli", "methods"], capture_output=True, text=True, timeout=120, check=True
    )
    assert "…" not in done.stdout
    assert len(done.stdout.splitlines()) == 1 + len(methods.names())
    assert "images, depths, intrinsics, world_from_camera" in done.stdout


@pytest.mark.parametrize("line", [["train", f"method={TITLE_OF_TERMINAL}x"], [f"{TITLE_OF_TERMINAL}verb"]])
def test_control_characters_are_not_obeyed_in_errors(line: list[str], capsys: Captured) -> None:
    assert main(line) == 2
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert "\x07" not in told


def test_a_card_from_a_stranger_is_printed_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "painted.py").write_text(
        "from dataclasses import replace\nfrom toys import Regression\n"
        f"class Painted(Regression):\n    card = replace(Regression.card, title={TITLE_OF_TERMINAL + '[red]sly[/red]'!r})\n"
    )
    assert main(["methods", "painted:Painted"]) == 0
    told = capsys.readouterr().out
    assert "[red]sly[/red]" in told
    assert "\x1b" not in told


def test_the_line_of_a_trial_holds_its_error_as_it_stands() -> None:
    quality = SimpleNamespace(title="loss", value=lambda chosen: chosen["loss"])
    record = SimpleNamespace(
        chosen={"loss": 0.5},
        status="failed",
        is_default=False,
        error=f"first\n{TITLE_OF_TERMINAL}[bold]last",
        number=3,
        seconds=2.0,
        values={"optimizer.lr": 0.01},
    )
    line = trial_line(SimpleNamespace(quality=quality), record, 1, 2)  # type: ignore[arg-type]
    assert "loss 0.5" in line
    assert "lr=0.01" in line
    assert "\x1b" not in line
    assert "\\[bold]last" in line

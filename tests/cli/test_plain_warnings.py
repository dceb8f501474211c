"""Warnings on the command line: one plain line, once."""

import warnings

import pytest

from deep3dmap.cli import main, methods


def test_a_warning_is_one_line_without_file_and_source(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def warn_twice(_: list[str]) -> int:
        for _ in range(2):
            warnings.warn("the scan is not level", stacklevel=2)
        return 0

    monkeypatch.setattr(methods, "main", warn_twice)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["methods"]) == 0
    assert capsys.readouterr().err == "deep3dmap: the scan is not level\n"

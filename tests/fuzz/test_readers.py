"""Damaged files in every reader: either a one-line error naming the file, or finite numbers. CI runs a tenth of the cases."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import run
from sample_files import SAMPLES

EACH = 300


@pytest.mark.parametrize("each", [EACH // 10, pytest.param(EACH, marks=pytest.mark.slow)])
def test_damaged_files_are_refused_in_one_line(each: int) -> None:
    found = run.fuzz("readers", count=each * len(SAMPLES), seed=each)
    assert not found.faults, run.table("readers", found)
    assert found.outcomes.total() == each * len(SAMPLES)
    assert found.peak_kib < run.MAX_KIB

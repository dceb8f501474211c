import json
import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from stores import ENTRANTS, build_store, metric_rows, run_row

from deep3dmap.results.leaderboard import leaderboard
from deep3dmap.results.reproduction import (
    cannot_run,
    cells_of_attempt,
    cells_of_rows,
    compare,
    from_json,
    intervals_of,
    overall,
    to_json,
)
from deep3dmap.results.store import ResultStore
from deep3dmap.results.verify import verify

BEFORE = {("nme", "a"): 1.0, ("nme", "b"): 3.0, ("pose", "a"): math.nan, ("mean", ""): 2.0}
INTERVALS = {"nme": (1.0, 3.0)}


def verdicts(after, intervals=INTERVALS):
    return {one.metric: one for one in compare(BEFORE, after, intervals)}


def test_what_is_the_same_bit_by_bit_is_identical():
    assert {one.verdict for one in compare(BEFORE, dict(BEFORE), {})} == {"identical"}


def test_within_the_interval_or_not_and_by_how_much():
    within = verdicts({**BEFORE, ("nme", "a"): 1.5})["nme"]
    assert (within.verdict, within.before, within.after, within.scenes) == ("within the interval", 2.0, 2.25, ("a",))
    differs = verdicts({**BEFORE, ("nme", "a"): 9.0})["nme"]
    assert (differs.verdict, differs.after) == ("differs", 6.0)
    assert str(differs) == "nme: differs, +4 from 2, scenes that differ: 1"


def test_without_an_interval_the_last_bit_counts():
    assert verdicts({**BEFORE, ("nme", "a"): 1.0 + 1e-15}, {})["nme"].verdict == "differs"


@pytest.mark.parametrize(
    "after",
    [
        {key: value for key, value in BEFORE.items() if key != ("nme", "b")},
        {**BEFORE, ("nme", "c"): 2.0},
        {**BEFORE, ("nme", "a"): math.nan},
    ],
)
def test_scenes_and_finite_values_have_to_be_the_same(after):
    assert verdicts(after)["nme"].verdict == "differs"


def test_a_metric_of_only_one_attempt_differs():
    assert verdicts({**BEFORE, ("new", "a"): 1.0})["new"].verdict == "differs"


def test_the_worst_verdict_counts_and_all_come_back_from_json():
    found = compare(BEFORE, {**BEFORE, ("nme", "a"): 1.5}, INTERVALS)
    assert overall(found) == "within the interval"
    assert from_json(to_json(found)) == found
    gone = cannot_run("the code of prnet has changed")
    assert overall(gone) == "cannot run"
    assert str(from_json(to_json(gone))[0]) == "cannot run: the code of prnet has changed"


def test_intervals_are_those_of_the_leaderboard(tmp_path):
    store = build_store(tmp_path, seeds=3, scenes=4)
    run = store.runs()[lambda frame: (frame.method == "prnet") & (frame.variant == "mini") & (frame.status == "ok")].iloc[0]
    (row,) = [row for row in leaderboard(store) if (row.method, row.variant) == ("prnet", "mini")]
    assert intervals_of(store, run.run_id)["nme_68_2d"] == (row.low, row.high)


def test_runs_that_were_cut_short_have_the_interval_of_their_row(tmp_path):
    store = build_store(tmp_path, seeds=1, scenes=1)
    for seed in (5, 6):
        row = run_row(ENTRANTS[0], seed, cut_short="cut short at step 94 of 180")
        store.write_attempt(row, metric_rows(row, ENTRANTS[0], 4), [])
    (own,) = [one for one in leaderboard(store, suite="face") if row.run_id in one.run_ids]
    assert own.is_cut_short
    assert intervals_of(store, row.run_id)["nme_68_2d"] == (own.low, own.high)


def test_an_attempt_that_repeats_another_says_so(tmp_path):
    store = ResultStore(str(tmp_path))
    first = run_row(ENTRANTS[0], 0, attempt=store.next_attempt("a"))
    store.write_attempt(first, metric_rows(first, ENTRANTS[0], 3), [])
    again = replace(first, attempt=store.next_attempt("a"))
    rows = metric_rows(again, ENTRANTS[0], 3)
    found = compare(cells_of_attempt(store, first.run_id, first.attempt), cells_of_rows(rows), {})
    assert overall(found) == "identical"
    at = datetime(2026, 3, 1, tzinfo=UTC)
    store.write_attempt(replace(again, reproduces=first.attempt, verdict=to_json(found), verdict_at=at), rows, [])
    runs = store.runs(newest_only=False)
    (kept,) = runs[runs.reproduces == first.attempt].itertuples()
    assert (json.loads(kept.verdict)["overall"], kept.verdict_at) == ("identical", at)
    assert verify(store) == []

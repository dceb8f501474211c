import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import ENTRANTS, build_store, run_row, write_method, write_suites

from deep3dmap.results.leaderboard import given_in_words, leaderboard
from deep3dmap.results.schema import MetricRow
from deep3dmap.results.statistics import seeded_interval
from deep3dmap.results.store import ResultStore

PRNET, WIDE, MEAN, FUSION, _ = ENTRANTS


@pytest.fixture
def store(tmp_path):
    store = ResultStore(str(tmp_path))
    write_suites(store)
    write_method(store, "prnet", ("image", "box"))
    write_method(store, "mean_face", ("box",), is_baseline=True)
    return store


def write(store, entrant, values, metric="nme_68_2d", better="down", unit="%", run_id="", **changes):
    """One run; values: {scene: value}."""
    run = run_row(entrant, changes.pop("seed", 0), **changes)
    run = replace(run, run_id=run_id) if run_id else run
    store.write_attempt(
        run, [MetricRow(run.run_id, run.attempt, scene, metric, float(v), unit, better) for scene, v in values.items()], []
    )
    return run


def only(rows):
    (row,) = rows
    return row


# -- values ---------------------------------------------------------------------------------------------------------------


def test_value_is_the_mean_over_seeds_of_the_mean_over_scenes(store):
    write(store, PRNET, {"a": 1.0, "b": 3.0}, seed=0, train_s=10.0, reconstruct_s=4.0, peak_ram_mb=100.0)
    write(store, PRNET, {"a": 2.0, "b": 4.0, "c": 9.0}, seed=1, train_s=30.0, reconstruct_s=8.0, peak_ram_mb=300.0)
    row = only(leaderboard(store))
    assert row.value == ((1 + 3) / 2 + (2 + 4 + 9) / 3) / 2
    assert (row.seeds, row.scenes, row.unit, row.better) == (2, 3, "%", "down")
    assert (row.train_s, row.seconds, row.reconstruct_s, row.peak_ram_mb) == (20.0, 26.0, 2.0, 300.0)
    assert (row.low, row.high) == seeded_interval([[1, 3], [2, 4, 9]])
    assert (row.rank, row.p_value, row.on_pareto_front, row.failed) == (1, None, True, 0)


def test_interval_of_one_seed_is_over_its_scenes(store):
    write(store, PRNET, {"a": 1.0, "b": 3.0, "c": 5.0})
    row = only(leaderboard(store))
    assert row.low < row.value < row.high


def test_one_scene_of_one_seed_has_no_interval(store):
    write(store, PRNET, {"a": 1.0})
    row = only(leaderboard(store))
    assert (row.value, row.low, row.high) == (1.0, None, None)


def test_a_summary_counts_as_it_stands(store):
    name = "nme_68_2d_mean_of_bins"
    write(store, PRNET, {"": 5.0}, metric=name, seed=0)
    write(store, PRNET, {"": 7.0}, metric=name, seed=1)
    row = only(leaderboard(store, metric=name))
    assert (row.value, row.low, row.high) == (6.0, 5.0, 7.0)
    assert row.seeds == 2


def test_scenes_of_a_summary_are_those_of_its_runs(tmp_path):
    rows = leaderboard(build_store(tmp_path, scenes=4), metric="nme_68_2d_mean_of_bins")
    assert {row.scenes for row in rows if row.value} == {4}
    assert [row.reconstruct_s for row in rows if row.method == "mean_face"] == [pytest.approx(0.1)]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_not_ranked(store, value):
    write(store, PRNET, {"a": 1.0, "b": value})
    write(store, MEAN, {"a": 5.0, "b": 5.0})
    first, last = leaderboard(store)
    assert (first.method, first.rank) == ("mean_face", 1)
    assert (last.value, last.rank, last.error) == (None, None, "nme_68_2d is not finite")


@given(
    st.lists(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=4), min_size=1, max_size=3),
    st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_value_lies_in_its_interval(tmp_path_factory, runs, up):
    store = ResultStore(str(tmp_path_factory.mktemp("store")))
    write_suites(store)
    for seed, values in enumerate(runs):
        write(store, PRNET, {str(i): v for i, v in enumerate(values)}, seed=seed, better="up" if up else "down")
    row = only(leaderboard(store))
    assert row.value == pytest.approx(np.mean([np.mean(values) for values in runs]))
    if row.low is not None:
        assert min(map(min, runs)) - 1e-9 <= row.low <= row.high <= max(map(max, runs)) + 1e-9


# -- order ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("better", "order"), [("down", ["prnet", "mean_face"]), ("up", ["mean_face", "prnet"])])
def test_rank_follows_the_direction_of_the_metric(store, better, order):
    write(store, PRNET, {"a": 1.0, "b": 2.0}, better=better)
    write(store, MEAN, {"a": 3.0, "b": 4.0}, better=better)
    rows = leaderboard(store)
    assert [row.method for row in rows] == order
    assert [row.rank for row in rows] == [1, 2]


def test_equal_values_share_a_rank(store):
    for entrant, value in ((PRNET, 1.0), (MEAN, 1.0), (WIDE, 2.0)):
        write(store, entrant, {"a": value, "b": value})
    assert [row.rank for row in leaderboard(store)] == [1, 1, 3]


def test_p_value_is_over_the_scenes_that_both_have(store):
    write(store, PRNET, {"a": 1, "b": 1, "c": 1, "d": 1, "e": 1})
    write(store, MEAN, {"a": 2, "b": 3, "c": 4, "d": 5, "e": 6, "only_here": 7})
    best, other = leaderboard(store)
    assert best.p_value is None
    assert other.p_value == pytest.approx(2 / 32)
    assert best.note == "scored on 5 of 6 scenes"


def test_front_is_quality_against_seconds(store):
    for entrant, value, seconds in ((WIDE, 1.0, 100.0), (PRNET, 2.0, 200.0), (MEAN, 3.0, 1.0)):
        write(store, entrant, {"a": value, "b": value}, train_s=seconds, reconstruct_s=0.0)
    assert {f"{row.method}/{row.variant}": row.on_pareto_front for row in leaderboard(store)} == {
        "prnet/wide": True,
        "prnet/mini": False,
        "mean_face/default": True,
    }


def test_baselines_are_marked(store):
    write(store, PRNET, {"a": 1.0})
    write(store, MEAN, {"a": 2.0})
    assert [row.is_baseline for row in leaderboard(store)] == [False, True]


# -- failures -------------------------------------------------------------------------------------------------------------


def test_an_entry_that_only_failed_is_there_without_a_rank(tmp_path):
    rows = leaderboard(build_store(tmp_path), suite="face")
    broken, prnet = (next(row for row in rows if (row.method, row.variant) == key) for key in (FAILED, MINI))
    assert (broken.value, broken.rank, broken.seconds, broken.failed, broken.seeds) == (None, None, None, 1, 0)
    assert broken.error == "failed: RuntimeError: shapes do not match: 3 and 4"
    assert broken is rows[-1]
    assert (prnet.failed, prnet.seeds, prnet.rank) == (1, 3, 2)


FAILED, MINI = ("broken_net", "default"), ("prnet", "mini")


def test_a_run_that_was_retried_with_success_did_not_fail(store):
    write(store, PRNET, {}, status="failed", error="boom")
    write(store, PRNET, {"a": 1.0}, attempt=2)
    row = only(leaderboard(store))
    assert (row.value, row.failed, row.error) == (1.0, 0, "")


def test_a_later_attempt_that_failed_hides_no_result(store):
    write(store, PRNET, {"a": 1.0})
    write(store, PRNET, {}, attempt=2, status="out_of_memory", error="MemoryError")
    assert only(leaderboard(store)).value == 1.0


# -- what may be compared ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"tier": "smoke"},
        {"protocol_version": 2},
        {"dataset_version": "d2"},
        {"dataset": "aflw2000"},
        {"dataset_variant": "big"},
    ],
)
def test_what_differs_is_never_mixed(store, change):
    write(store, PRNET, {"a": 1.0})
    write(store, PRNET, {"a": 3.0}, run_id="f" * 16, **change)
    rows = leaderboard(store)
    assert sorted(row.value for row in rows) == [1.0, 3.0]
    assert [row.rank for row in rows] == [1, 1]
    assert rows[0].group != rows[1].group


def test_settings_that_differ_are_entries_of_their_own_and_say_so(store):
    config = '{"method": {"width": %d}, "seed": %d, "device": "%s", "dataset": {"root": "%s", "samples": 4}}'
    write(store, PRNET, {"a": 1.0}, config=config % (8, 0, "cpu", "/x"), run_id="1" * 16, seed=0)
    write(store, PRNET, {"a": 2.0}, config=config % (8, 1, "cuda", "/y"), run_id="2" * 16, seed=1)
    write(store, PRNET, {"a": 9.0}, config=config % (64, 0, "cpu", "/x"), run_id="3" * 16, seed=0)
    rows = leaderboard(store)
    assert [(row.value, row.seeds, row.note) for row in rows] == [(1.5, 2, "method.width=8"), (9.0, 1, "method.width=64")]


def test_of_several_code_versions_the_newest_counts_and_says_so(store):
    run = write(store, PRNET, {"a": 1.0}, method_version="old")
    later = run.started_at + timedelta(hours=1)
    write(store, PRNET, {"a": 2.0}, method_version="new", run_id="e" * 16, started_at=later)
    row = only(leaderboard(store))
    assert (row.value, row.seeds, row.note) == (2.0, 1, "code new; older code left out: old")


def test_the_same_seed_twice_counts_once(store):
    run = write(store, PRNET, {"a": 1.0})
    write(store, PRNET, {"a": 2.0, "b": 2.0}, run_id="e" * 16, started_at=run.started_at + timedelta(hours=1))
    row = only(leaderboard(store))
    assert (row.value, row.seeds) == (2.0, 1)


def test_training_runs_are_no_part_of_it(store):
    write(store, PRNET, {"": 1.0}, metric="loss", suite="", tier="")
    assert leaderboard(store) == []


# -- choosing -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build_store(tmp_path_factory.mktemp("built"), seeds=2, scenes=5)


def test_each_suite_is_ranked_by_its_headline(built):
    rows = leaderboard(built)
    assert {(row.suite, row.metric) for row in rows} == {("face", "nme_68_2d"), ("indoor", "f_score_5cm")}


def test_all_metrics_come_in_the_order_of_the_card(built):
    metrics = list(dict.fromkeys(row.metric for row in leaderboard(built, metric="all")))
    assert metrics == ["nme_68_2d", "pose_mae", "nme_68_2d_mean_of_bins", "f_score_5cm", "chamfer"]


def test_a_metric_leaves_out_the_suites_without_it(built):
    assert {row.suite for row in leaderboard(built, metric="chamfer")} == {"indoor"}


@pytest.mark.parametrize(
    ("chosen", "suites"),
    [
        ({"suite": "face"}, {"face"}),
        ({"dataset": "rooms"}, {"indoor"}),
        ({"dataset": "rooms/quick"}, {"indoor"}),
        ({"dataset": "rooms/smoke"}, set()),
        ({"tier": "quick"}, {"face", "indoor"}),
        ({"tier": "paper"}, set()),
        ({"suite": "face", "dataset": "rooms"}, set()),
    ],
)
def test_filters_keep_what_they_name(built, chosen, suites):
    assert {row.suite for row in leaderboard(built, **chosen)} == suites


def test_a_suite_without_a_card_shows_all_it_has(tmp_path):
    store = ResultStore(str(tmp_path))
    write(store, PRNET, {"a": 1.0})
    write(store, PRNET, {"a": 1.0}, metric="pose_mae", seed=1)
    assert [row.metric for row in leaderboard(store)] == ["nme_68_2d", "pose_mae"]


def test_an_empty_store_has_no_rows(tmp_path):
    assert leaderboard(ResultStore(str(tmp_path))) == []


def test_the_same_store_gives_the_same_rows(built):
    assert leaderboard(built, metric="all") == leaderboard(ResultStore(built.uri), metric="all")


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (("images", "intrinsics", "world_from_camera"), "images, poses"),
        (("images", "depths", "intrinsics", "world_from_camera"), "images, depths, poses"),
        (("images", "intrinsics"), "images, intrinsics"),
        (("image", "box"), "image, box"),
        ((), ""),
    ],
)
def test_inputs_are_said_in_words(inputs, words):
    assert given_in_words(inputs) == words

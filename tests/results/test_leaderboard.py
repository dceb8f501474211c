import json
import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from stores import ENTRANTS, build_store, metric_rows, run_row, write_method, write_suites

from deep3dmap.results.board_row import describe_inputs
from deep3dmap.results.leaderboard import boards, leaderboard
from deep3dmap.results.schema import MetricRow
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
    """Write one run. values: {scene: value}."""
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


def test_value_is_the_mean_over_scenes_and_seeds(store):
    write(store, PRNET, {"a": 1.0, "b": 3.0}, seed=0, train_s=10.0, reconstruct_s=4.0, peak_ram_mb=100.0)
    write(store, PRNET, {"a": 2.0, "b": 4.0, "c": 9.0}, seed=1, train_s=30.0, reconstruct_s=8.0, peak_ram_mb=300.0)
    row = only(leaderboard(store))
    # The second seed is worse by 1, so the first one would have a value of 8 on its missing scene.
    assert row.value == pytest.approx(((1 + 3 + 8) / 3 + (2 + 4 + 9) / 3) / 2)
    assert (row.seeds, row.scenes, row.unit, row.better) == (2, 3, "%", "down")
    assert (row.train_s, row.seconds, row.reconstruct_s, row.peak_ram_mb) == (20.0, 26.0, 2.0, 300.0)
    assert (row.rank, row.p_value, row.on_pareto_front, row.failed) == (1, None, True, 0)


def test_interval_is_students_where_one_seed_is_there(store):
    write(store, PRNET, {"a": 1.0, "b": 3.0, "c": 8.0})
    row = only(leaderboard(store))
    expected = stats.ttest_1samp([1.0, 3.0, 8.0], 0).confidence_interval()
    assert (row.low, row.high) == pytest.approx((expected.low, expected.high))


def test_identical_seeds_narrow_no_interval(store):
    for seed in range(5):
        write(store, PRNET, {"a": 1.0, "b": 3.0, "c": 8.0}, seed=seed)
    write(store, MEAN, {"a": 1.0, "b": 3.0, "c": 8.0})
    five, one = leaderboard(store)
    assert (five.low, five.high) == pytest.approx((one.low, one.high))


def test_beside_the_mean_stand_median_and_trimmed_mean(store):
    write(store, PRNET, {"a": 1.0, "b": 2.0, "c": 3.0, "d": 94.0})
    write(store, MEAN, {"a": 3.0, "b": 3.0, "c": 3.0, "d": 3.0})
    mean, prnet = leaderboard(store)
    assert (prnet.value, prnet.median, prnet.interquartile_mean) == (25.0, 2.5, 2.5)
    # The best values of the scenes are 1, 2, 3 and 3.
    assert (prnet.optimality_gap, mean.optimality_gap) == (91 / 4, 3 / 4)


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
    expected = stats.ttest_1samp([5.0, 7.0], 0).confidence_interval()
    assert row.value == 6.0
    assert row.low < expected.low < expected.high < row.high or (row.low, row.high) == pytest.approx(
        (expected.low, expected.high)
    )
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
    assert (last.value, last.rank, last.error) == (None, None, "nme_68_2d is not finite on 1 of 2 scenes (b)")


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
    assert row.value is not None
    if len({len(values) for values in runs}) == 1:
        assert row.value == pytest.approx(np.mean(runs), abs=1e-9)
    if row.low is not None:
        assert row.low <= row.value <= row.high


# -- order ----------------------------------------------------------------------------------------------------------------


GOOD = {"a": 1.0, "b": 1.2, "c": 0.9, "d": 1.1, "e": 1.0, "f": 0.8}
BAD = {scene: value + 2 + 0.1 * number for number, (scene, value) in enumerate(GOOD.items())}


@pytest.mark.parametrize(("better", "order"), [("down", ["prnet", "mean_face"]), ("up", ["mean_face", "prnet"])])
def test_rank_follows_the_direction_of_the_metric(store, better, order):
    write(store, PRNET, GOOD, better=better)
    write(store, MEAN, BAD, better=better)
    rows = leaderboard(store)
    assert [row.method for row in rows] == order
    assert [row.rank for row in rows] == [1, 2]


def test_entries_that_cannot_be_told_apart_share_a_rank(store):
    write(store, PRNET, GOOD)
    write(store, WIDE, {scene: value + 0.1 * (-1) ** number for number, (scene, value) in enumerate(GOOD.items())})
    write(store, MEAN, BAD)
    rows = leaderboard(store)
    assert [row.rank for row in rows] == [1, 1, 3]
    assert rows[2].method == "mean_face"


def test_comparison_is_over_the_scenes_that_both_have(store):
    write(store, PRNET, GOOD)
    write(store, MEAN, {**BAD, "only_here": 7})
    by_method = {row.method: row for row in leaderboard(store)}
    other = next(row for row in by_method.values() if row.p_value is not None)
    expected = stats.ttest_rel(list(BAD.values()), list(GOOD.values()))
    assert other.p_value == pytest.approx(expected.pvalue)
    assert abs(other.difference) == pytest.approx(2.25)
    assert (by_method["prnet"].coverage, by_method["prnet"].missing_scenes) == ("6/7", ("only_here",))


def test_p_values_are_adjusted_for_all_pairs(store):
    wide = {scene: value + 0.3 * (number % 2) for number, (scene, value) in enumerate(GOOD.items())}
    for entrant, own in ((PRNET, GOOD), (WIDE, wide), (MEAN, BAD)):
        write(store, entrant, own)
    board = boards(store)[0]
    assert [(row.method, row.variant) for row in board.rows] == [("prnet", "mini"), ("prnet", "wide"), ("mean_face", "default")]
    good, better, bad = (list(own.values()) for own in (GOOD, wide, BAD))
    raw = [stats.ttest_rel(*pair).pvalue for pair in ((good, better), (good, bad), (better, bad))]
    assert sorted(raw) == [raw[1], raw[2], raw[0]]
    assert [row.p_value for row in board.rows] == [None, pytest.approx(raw[0]), pytest.approx(3 * raw[1])]
    places = [board.compared.index(row) for row in (1, 2)]
    assert board.comparisons.p_value[tuple(places)] == pytest.approx(2 * raw[2])


def test_facts_against_the_best(store):
    for seed in range(3):
        write(store, PRNET, {scene: value + 0.01 * seed for scene, value in GOOD.items()}, seed=seed)
        write(store, MEAN, {scene: value + 0.02 * seed for scene, value in BAD.items()}, seed=seed)
    best, other = leaderboard(store)
    assert best.difference is None
    assert other.difference == pytest.approx(2.26)
    assert other.difference_low < 2.26 < other.difference_high
    assert other.probability_better == 0.0
    assert other.effect_size > 5
    assert 0 < other.smallest_gap < 0.5
    assert not other.is_provisional


# -- parts of the scenes ----------------------------------------------------------------------------------------------------


def test_one_scene_of_many_never_outranks_a_whole_entry(store):
    """An entry scored only on the easiest scene would come first by its value."""
    for seed in range(3):
        write(store, PRNET, {f"s{i}": 5.0 + i + 0.1 * seed for i in range(24)}, seed=seed)
        write(store, MEAN, {"s0": 0.1}, seed=seed)
    first, last = leaderboard(store)
    assert (first.method, first.rank, first.coverage) == ("prnet", 1, "24")
    assert (last.method, last.rank, last.coverage) == ("mean_face", None, "1/24")
    assert len(last.missing_scenes) == 23


def test_most_of_the_scenes_are_ranked_behind_what_they_do_not_beat(store):
    scenes = [f"s{i}" for i in range(8)]
    write(store, PRNET, {s: 3.0 + 0.1 * (i % 3) for i, s in enumerate(scenes)})
    write(store, MEAN, {s: 9.0 + 0.1 * (i % 2) for i, s in enumerate(scenes)})
    # Like prnet/mini on shared scenes, but without the scene on which it might be worse.
    write(store, WIDE, {s: 3.0 + 0.1 * ((i + 1) % 3) for i, s in enumerate(scenes[:7])})
    rows = leaderboard(store)
    assert [(row.method, row.variant, row.rank) for row in rows] == [
        ("prnet", "mini", 1),
        ("prnet", "wide", 1),
        ("mean_face", "default", 2),
    ]
    assert (rows[1].coverage, rows[1].missing_scenes) == ("7/8", ("s7",))


def test_a_later_run_on_fewer_scenes_replaces_nothing(store):
    run = write(store, PRNET, GOOD)
    write(store, PRNET, {"a": 1.0}, run_id="e" * 16, started_at=run.started_at + timedelta(hours=1))
    row = only(leaderboard(store))
    assert (row.value, row.scenes, row.seeds) == (1.0, 6, 1)


def test_runs_of_one_scene_each_are_one_entry(store):
    """A method that is only fitted has one run per scene; here one of eight diverged under one seed."""
    for seed in range(3):
        for number in range(8):
            name, ok = f"s{number}", (seed, number) != (1, 5)
            status = {} if ok else {"status": "diverged", "error": "loss is nan"}
            run_id = f"{seed:08x}{number:08x}"
            values = {name: 4.0 + number + 0.1 * seed} if ok else {}
            write(
                store, PRNET, values, seed=seed, run_id=run_id, scene=name, train_s=0.0, fit_s=10.0, reconstruct_s=1.0, **status
            )
    row = only(leaderboard(store))
    assert (row.seeds, row.coverage, row.failed) == (3, "8", 1)
    assert row.value == pytest.approx(7.6)
    assert row.error == "diverged: loss is nan"
    assert row.seconds == pytest.approx(23 * 11 / 3)


def test_a_scene_on_which_all_runs_failed_is_missing(store):
    for number in range(8):
        ok = number != 5
        write(
            store,
            PRNET,
            {f"s{number}": 4.0} if ok else {},
            run_id=f"{number:016x}",
            scene=f"s{number}",
            status="ok" if ok else "failed",
        )
    row = only(leaderboard(store))
    assert (row.coverage, row.missing_scenes, row.failed) == ("7/8", ("s5",), 1)


def test_what_was_cut_short_stands_apart(store):
    for seed in range(3):
        cut = {"cut_short": "cut short at step 94 of 180", "steps": 94} if seed == 1 else {"steps": 180}
        write(store, PRNET, {scene: value + 20 * (seed == 1) for scene, value in GOOD.items()}, seed=seed, **cut)
    whole, cut = leaderboard(store)
    assert (whole.value, whole.seeds, whole.rank, whole.steps) == (pytest.approx(1.0), 2, 1, 180)
    assert (cut.value, cut.seeds, cut.rank, cut.steps) == (pytest.approx(21.0), 1, None, 94)
    assert cut.is_cut_short
    assert cut.note == "seed 1: cut short at step 94 of 180"
    assert cut.p_value is None


def test_fewer_than_three_seeds_are_provisional(store):
    for seed in range(3):
        write(store, PRNET, GOOD, seed=seed)
        if seed < 2:
            write(store, MEAN, BAD, seed=seed)
    assert [row.is_provisional for row in leaderboard(store)] == [False, True]


def test_profiles_and_scenes_of_a_board(store):
    write(store, PRNET, {"a": 1.0, "b": 3.0})
    write(store, MEAN, {"a": 5.0, "b": 5.0})
    board = boards(store)[0]
    assert board.scenes == ["a", "b"]
    np.testing.assert_allclose(board.per_scene, [[1.0, 3.0], [5.0, 5.0]])
    assert board.profiles[0][-1] == board.profiles[1][-1] == 1.0
    assert board.profiles[0][0] == 0.5
    assert board.profiles[1][0] == 0.0


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
    assert broken == rows[-1]
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


def test_weights_that_were_scored_and_not_trained_say_so_in_words(store):
    config = {"method": {"width": 8}, "seed": 0}
    write(store, PRNET, {"a": 1.0}, config=json.dumps(config), run_id="1" * 16)
    for number in range(2):
        given = {**config, "seed": number, "checkpoint": f"{number}" * 64}
        write(store, PRNET, {"a": 2.0}, config=json.dumps(given), run_id=f"{number + 2}" * 16, seed=number)
    rows = leaderboard(store)
    notes = ("trained by the benchmark", "weights from a checkpoint, scored by `evaluate`")
    assert [(row.value, row.seeds, row.note) for row in rows] == [(1.0, 1, notes[0]), (2.0, 2, notes[1])]


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
    assert (row.value, row.seeds, row.scenes) == (2.0, 1, 2)


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


def test_a_row_names_its_runs_and_only_those_of_its_entry(built):
    runs = built.runs()
    for row in leaderboard(built):
        own = runs[runs.run_id.isin(row.run_ids)]
        assert set(own.method + "/" + own.variant) == {f"{row.method}/{row.variant}"}
        assert sorted(own.seed) == sorted(set(own.seed))
        assert (own.status == "ok").sum() == row.seeds


def test_a_dataset_with_a_slash_in_its_name_is_found(tmp_path):
    store = ResultStore(str(tmp_path))
    row = run_row(PRNET, 0, dataset="a/b")
    store.write_attempt(row, metric_rows(row, PRNET, 2), [])
    for name, count in (("a/b/quick", 1), ("a/b", 1), ("a", 0), ("b", 0)):
        assert len(leaderboard(store, dataset=name, metric="pose_mae")) == count


def test_profiles_are_fine_where_the_values_are(tmp_path):
    store = ResultStore(str(tmp_path))
    write(store, PRNET, {f"s{number}": 1 + number / 100 for number in range(20)})
    write(store, PRNET, {f"s{number}": 1000.0 for number in range(20)}, variant="far", run_id="f" * 16)
    (board,) = boards(store)
    assert (board.thresholds < 2).sum() == 20
    best = next(place for place, row in enumerate(board.rows) if row.variant != "far")
    assert board.profiles[best][:20].tolist() == pytest.approx([(number + 1) / 20 for number in range(20)])


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
    assert describe_inputs(inputs) == words


def test_suites_may_measure_in_other_units_by_the_same_name(store):
    write(store, FUSION, {"a": 0.1, "b": 0.2}, metric="chamfer", unit="m")
    write(store, PRNET, {"a": 3.0, "b": 4.0}, metric="chamfer", unit="mm", better="up")
    found = {board.group.suite: (board.rows[0].unit, board.rows[0].better) for board in boards(store, metric="chamfer")}
    assert found == {"indoor": ("m", "down"), "face": ("mm", "up")}

"""Charts of sweeps and differences: which trials are drawn, where, and in which order."""

from typing import Any

import pytest

from deep3dmap.dashboard.charts.differences import difference_chart
from deep3dmap.dashboard.charts.intervals import interval_chart
from deep3dmap.dashboard.charts.sweep import front_chart, history_chart, parallel_chart
from deep3dmap.results.sweeps import Sweep, Trial


def trial(number: int, value: float | None, status: str = "ok", seconds: float = 1.0, **settings: Any) -> Trial:
    return Trial(
        f"run{number}", number, status, {name.replace("__", "."): of for name, of in settings.items()}, value, seconds, 100.0
    )


def sweep(*trials: Trial, better: str = "down") -> Sweep:
    names = list(dict.fromkeys(name for one in trials for name in one.settings))
    return Sweep("error", "m", better, names, list(trials))


def shares(spec: Any, axis: str) -> dict[int, float]:
    return {one["trial"]: one["share"] for one in spec["data"]["values"] if one["axis"] == axis}


def ticks(spec: Any, axis: str) -> list[tuple[float, str]]:
    return [(one["share"], one["label"]) for one in spec["layer"][1]["data"]["values"] if one["axis"] == axis]


@pytest.mark.parametrize(("better", "best"), [("down", [5.0, 5.0, 2.0, 2.0]), ("up", [5.0, 7.0, 7.0, 7.0])])
def test_the_best_so_far_never_gets_worse_and_counts_whole_trials_only(better: str, best: list[float]) -> None:
    spec = history_chart(
        sweep(trial(1, 5.0), trial(2, 7.0), trial(3, 2.0), trial(4, 99.0 if better == "up" else 0.1, "pruned"), better=better),
        "x",
    )
    assert [one["value"] for one in spec["layer"][0]["data"]["values"]] == best
    assert [one["kind"] for one in spec["data"]["values"]].count("best") == 1
    assert spec["data"]["values"][3]["kind"] == "ended early"


def test_trials_without_a_value_are_not_drawn_and_no_best_is_no_line() -> None:
    spec = history_chart(sweep(trial(1, None), trial(2, 3.0, "failed")), "x")
    assert spec["layer"][0]["data"]["values"] == []
    assert [one["trial"] for one in spec["data"]["values"]] == [2]


def test_the_front_joins_what_nothing_beats_in_both() -> None:
    trials = (
        trial(1, 5.0, seconds=1),
        trial(2, 3.0, seconds=2),
        trial(3, 4.0, seconds=3),
        trial(4, 1.0, "pruned", seconds=0.1),
    )
    spec = front_chart(sweep(*trials), "x", "seconds")
    assert {one["trial"]: one["front"] for one in spec["data"]["values"]} == {1: True, 2: True, 3: False}
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["line", "point"]
    alone = front_chart(sweep(trial(1, 5.0, seconds=2), trial(2, 6.0, seconds=3)), "x", "seconds")
    assert [layer["mark"]["type"] for layer in alone["layer"]] == ["point"]


def test_few_values_are_spaced_evenly_and_many_by_their_size() -> None:
    few = parallel_chart(sweep(*(trial(n, float(n), method__width=width) for n, width in enumerate((8, 64, 1024), 1))))
    assert shares(few, "width") == {1: 0, 2: 0.5, 3: 1}
    assert ticks(few, "width") == [(0, "8"), (0.5, "64"), (1, "1024")]
    even = parallel_chart(sweep(*(trial(n, 1.0, method__share=0.1 * n) for n in range(1, 8))))
    assert shares(even, "share")[4] == pytest.approx(0.5)
    rates = parallel_chart(sweep(*(trial(n, 1.0, optimizer__lr=10.0**-n) for n in range(1, 8))))
    assert shares(rates, "lr")[4] == pytest.approx(0.5)
    assert ticks(rates, "lr") == [(0, "1e-07"), (1, "0.1")]


def test_words_and_switches_have_places_and_one_value_stands_in_the_middle() -> None:
    spec = parallel_chart(
        sweep(
            trial(1, 1.0, method__pad="tf", method__flip=True, seed=3),
            trial(2, 2.0, method__pad="legacy", method__flip=False, seed=3),
        )
    )
    assert shares(spec, "pad") == {1: 1, 2: 0}
    assert shares(spec, "flip") == {1: 1, 2: 0}
    assert shares(spec, "seed") == {1: 0.5, 2: 0.5}


def test_settings_that_end_alike_have_axes_of_their_own() -> None:
    spec = parallel_chart(
        sweep(trial(1, 1.0, method__lr=0.1, optimizer__lr=0.5), trial(2, 2.0, method__lr=0.2, optimizer__lr=0.4))
    )
    names = spec["layer"][0]["encoding"]["x"]["sort"]
    assert names == ["method.lr", "optimizer.lr", "error"]
    assert shares(spec, "method.lr") == {1: 0, 2: 1}
    assert shares(spec, "optimizer.lr") == {1: 1, 2: 0}


def test_better_trials_are_drawn_last_and_darkest() -> None:
    spec = parallel_chart(sweep(trial(1, 9.0, seed=1), trial(2, 1.0, seed=2), trial(3, None, seed=3), better="up"))
    order = {one["trial"]: one["order"] for one in spec["data"]["values"]}
    assert order == {1: 1, 2: 0.5}


def test_a_setting_that_a_trial_lacks_leaves_a_gap_in_its_line() -> None:
    spec = parallel_chart(sweep(trial(1, 1.0, method__depth=2), trial(2, 2.0, method__depth=4, method__skip=1)))
    assert shares(spec, "skip") == {2: 0.5}
    assert set(shares(spec, "depth")) == {1, 2}


def test_differences_say_which_side_is_better_and_keep_the_order_of_scenes() -> None:
    values = [
        {"scene": scene, "entry": entry, "difference": 1.0, "first": 3.0, "value": 2.0}
        for scene in ("kitchen", "attic")
        for entry in ("b", "a")
    ]
    spec = difference_chart(values, "error (m)", "down")
    x, y = (spec["layer"][2]["encoding"][axis] for axis in "xy")
    assert y["sort"] == ["kitchen", "attic"]
    assert x["title"] == ["difference in error (m)", "left of 0: first method is better"]
    assert spec["layer"][2]["encoding"]["color"]["scale"]["domain"] == ["b", "a"]
    taller = difference_chart([*values, {**values[0], "scene": "cellar"}], "x", "")
    assert taller["height"] > spec["height"]
    assert taller["layer"][2]["encoding"]["x"]["title"][1] == ""


def test_intervals_stand_in_the_order_given() -> None:
    entries = [{"name": name, "kind": "method", "value": 1.0, "low": 0.5, "high": 2.0, "label": "1"} for name in ("z", "a")]
    spec = interval_chart(entries, "error")
    assert spec["layer"][0]["encoding"]["y"]["sort"] == ["z", "a"]
    assert (spec["layer"][0]["encoding"]["x"]["field"], spec["layer"][0]["encoding"]["x2"]["field"]) == ("low", "high")

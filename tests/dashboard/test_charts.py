import numpy as np
import pytest

from deep3dmap.dashboard.charts import chart
from deep3dmap.dashboard.charts.cost import MOST_TICKS, WIDE, Point, cost_chart
from deep3dmap.dashboard.charts.critical import critical_chart
from deep3dmap.dashboard.charts.intervals import interval_chart
from deep3dmap.dashboard.charts.labels import CHARACTER, LINE, place
from deep3dmap.dashboard.charts.profiles import profile_chart
from deep3dmap.dashboard.look import BLACK, GREY, SERIES
from deep3dmap.results.across import Ranking

PLOT = (480.0, 320.0)


def boxes(points, names, labels):
    for (x, y), name, label in zip(points, names, labels):
        if label:
            width = len(name) * CHARACTER
            left = x * PLOT[0] + label.dx - {"left": 0, "right": width, "center": width / 2}[label.align]
            top = (1 - y) * PLOT[1] + label.dy - LINE / 2
            yield left, top, left + width, top + LINE


@pytest.mark.parametrize("count", [1, 12, 60])
def test_names_overlap_neither_each_other_nor_points(count):
    generator = np.random.default_rng(count)
    points = [(float(x), float(y)) for x, y in generator.uniform(0.05, 0.95, (count, 2))]
    names = [f"method_{number}/mini" for number in range(count)]
    labels = place(points, names, PLOT)
    found = list(boxes(points, names, labels))
    assert found
    assert len(found) >= min(count, 10)
    for number, one in enumerate(found):
        for other in found[:number]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_names_of_points_in_one_place_are_not_drawn_over_each_other():
    labels = place([(0.5, 0.5)] * 30, ["the_same/place"] * 30, PLOT)
    assert 0 < sum(label is not None for label in labels) < 30


def points(*costs):
    return [Point(f"m{n}", False, 1.0 + n, cost, "1", "1 s") for n, cost in enumerate(costs)]


def layers(spec, kind):
    return [layer for layer in spec["layer"] if layer["mark"]["type"] == kind]


def test_front_of_one_point_has_no_line():
    assert not layers(cost_chart(points(1.0, 2.0), "x", "down", "time"), "line")
    assert layers(cost_chart(points(1.0, 2.0), "x", "up", "time"), "line")


@pytest.mark.parametrize("costs", [(1e-3, 1e5), (90.0, 95.0), (1.0,), (3600.0, 7200.0)])
@pytest.mark.parametrize("over", ["time", "memory"])
def test_axes_of_costs_are_logarithmic_with_few_round_numbers(costs, over):
    spec = cost_chart(points(*costs), "x", "down", over)
    x = spec["layer"][-1]["encoding"]["x"]
    assert x["scale"]["type"] == "log"
    assert len(x["axis"]["values"]) <= MOST_TICKS


def test_names_of_wide_and_narrow_plots_are_never_shown_together():
    spec = cost_chart(points(1.0, 2.0, 5.0), "x", "down", "time")
    shown = {layer["mark"]["opacity"]["expr"] for layer in layers(spec, "text")}
    assert shown == {f"width >= {WIDE:.0f} ? 1 : 0", f"width < {WIDE:.0f} ? 1 : 0"}


def test_profiles_have_colours_of_their_own():
    many = [(f"m{n}", [0.0, 1.0]) for n in range(20)]
    spec = profile_chart([1.0, 2.0], many, "x", "down")
    colors = spec["encoding"]["color"]["scale"]["range"]
    assert len(colors) == len(set(colors)) == len(SERIES)
    assert GREY not in colors


def test_colours_on_dark_ground_are_as_many_and_none_is_dark(monkeypatch):
    monkeypatch.setattr(chart, "is_dark", lambda: True)
    colors = chart.series([f"m{n}" for n in range(len(SERIES))])["range"]
    assert len(set(colors)) == len(SERIES)
    assert BLACK not in colors


def test_axis_of_one_cost_has_a_width_and_a_round_number_on_it():
    x = cost_chart(points(608.0), "x", "down", "memory")["layer"][-1]["encoding"]["x"]
    low, high = x["scale"]["domain"]
    assert low < 608.0 < high
    assert low <= min(x["axis"]["values"]) < max(x["axis"]["values"]) <= high
    assert "domain" not in cost_chart(points(1.0, 2.0), "x", "down", "time")["layer"][-1]["encoding"]["x"]["scale"]


@pytest.mark.parametrize(("names", "columns"), [(["a", "b"], 3), (["prnet/mini", "prnet/wide"], 3), (["a" * 28, "b"], 1)])
def test_legend_is_no_wider_than_a_phone(names, columns):
    assert chart.legend_columns(names) == columns


def test_rows_of_a_chart_keep_their_height_beside_axis_and_legend():
    row = {"name": "m", "kind": "method", "value": 1.0, "low": 0.5, "high": 1.5, "label": "1", "interval": "0.5 – 1.5"}
    few, more = (interval_chart([{**row, "name": f"m{n}"} for n in range(count)], "x")["height"] for count in (1, 4))
    assert few > 100
    assert more - few > 100


def test_ranks_are_drawn_from_the_first_to_the_last_there_can_be():
    spec = critical_chart(Ranking(("a", "b", "c"), (1.5, 1.5, 2.5), ("x", "y"), 0.04, None))
    assert spec["layer"][0]["encoding"]["x"]["scale"]["domain"] == [1, 3]


def test_cliques_are_bars_beside_the_ranks():
    ranking = Ranking(("a", "b", "c"), (1.0, 1.5, 3.0), ("x", "y"), 0.04, 0.6)
    bars = critical_chart(ranking)["layer"][-1]["data"]["values"]
    assert [(bar["from"], bar["to"]) for bar in bars] == [("a", "b")]

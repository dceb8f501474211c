import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deep3dmap.results.pareto import pareto_front


@pytest.mark.parametrize(
    ("better", "expected"), [("up", [True, False, True, False, False]), ("down", [True, True, False, True, False])]
)
def test_front_of_a_hand_drawn_example(better, expected):
    quality, cost = [50, 40, 90, 30, np.nan], [1, 2, 4, 5, 0.1]
    assert pareto_front(quality, cost, better).tolist() == expected


def test_equal_entries_are_both_on_the_front():
    assert pareto_front([1, 1, 1], [2, 2, 3], "up").tolist() == [True, True, False]


def test_direction_has_to_be_named():
    with pytest.raises(ValueError, match="'up' or 'down'"):
        pareto_front([1], [1], "sideways")


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12))
def test_front_is_what_the_definition_says(points):
    def dominated(one):
        return any(q >= one[0] and c <= one[1] and (q > one[0] or c < one[1]) for q, c in points)

    quality, cost = zip(*points)
    assert pareto_front(quality, cost, "up").tolist() == [not dominated(one) for one in points]

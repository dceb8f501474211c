import numpy as np
import pytest
from scipy import stats
from stores import ENTRANTS, build_store, metric_rows, run_row

from deep3dmap.results.across import Ranking, critical_difference, friedman, rank_across
from deep3dmap.results.leaderboard import boards
from deep3dmap.results.store import ResultStore

# Table 6 of the paper: AUC of C4.5 with four settings on 14 data sets.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)


def test_the_example_of_the_paper():
    ranks = stats.rankdata(-DEMSAR, axis=1)
    assert ranks.mean(0) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=0.001)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    # F of 3.69 with 3 and 39 degrees of freedom.
    assert friedman(ranks) == pytest.approx(stats.f.sf(3.69, 3, 39), rel=0.02)


@pytest.mark.parametrize("ranks", [[[1.0, 2.0, 3.0], [2.0, 1.0, 3.0]], [[1.0, 3.0, 2.0], [2.0, 1.0, 3.0], [3.0, 2.0, 1.0]]])
def test_p_value_of_friedman_is_that_of_an_f_distribution(ranks):
    table = np.array(ranks)
    boards, entries = table.shape
    chi = stats.friedmanchisquare(*table.T).statistic
    iman_davenport = (boards - 1) * chi / (boards * (entries - 1) - chi)
    expected = stats.f.sf(iman_davenport, entries - 1, (entries - 1) * (boards - 1))
    assert friedman(table) == pytest.approx(expected)


def test_ranks_that_agree_everywhere_are_certain():
    assert friedman(np.tile([1.0, 2.0, 3.0], (5, 1))) == 0.0


def test_cliques_are_the_largest_groups_of_neighbours():
    ranking = Ranking(("a", "b", "c", "d"), (1.0, 1.5, 2.4, 4.0), ("x", "y"), 0.01, 1.0)
    assert ranking.cliques == [("a", "b"), ("b", "c")]


def test_entries_that_lack_a_board_are_named(tmp_path):
    store = build_store(tmp_path, seeds=2, scenes=4)
    row = run_row(ENTRANTS[0], 0, tier="paper", run_id="d" * 16)
    store.write_attempt(row, metric_rows(row, ENTRANTS[0], 4), [])
    wide = run_row(ENTRANTS[1], 0, tier="paper", run_id="e" * 16)
    store.write_attempt(wide, metric_rows(wide, ENTRANTS[1], 4), [])
    ranking = rank_across(boards(ResultStore(store.uri), suite="face"))
    assert ranking.names == ("prnet/wide", "prnet/mini")
    assert ranking.mean_ranks == (1.0, 2.0)
    assert ranking.left_out == ("mean_face/default",)
    assert len(ranking.boards) == 2


def test_one_board_has_no_critical_difference(tmp_path):
    ranking = rank_across(boards(build_store(tmp_path, seeds=1, scenes=3), suite="indoor"))
    assert (ranking.p_value, ranking.critical_difference) == (None, None)
    assert rank_across([]).names == ()

"""The verdict on two entries agrees with their paired test."""

from dataclasses import replace

import numpy as np
import pytest
from stores import build_store

from deep3dmap.dashboard.look import replace_direction_controls
from deep3dmap.dashboard.verdicts import headline_first, names_of, ordered_scenes, spread, unit_suffix, verdict
from deep3dmap.results.leaderboard import boards
from deep3dmap.results.store import ResultStore


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    store = build_store(tmp_path_factory.mktemp("said"), seeds=4, scenes=12)
    return next(one for one in boards(store, suite="face", metric="nme_68_2d"))


def places(board):
    return {name: place for place, name in enumerate(names_of(board.rows))}


def test_better_and_worse_are_two_sides_of_one_verdict(board):
    named = places(board)
    good, bad = named["prnet/wide"], named["mean_face/default"]
    one, other = verdict(board, good, bad), verdict(board, bad, good)
    assert (one.kind, other.kind) == ("better", "worse")
    assert one.words == "prnet/wide is better than mean_face/default."
    assert other.words == "mean_face/default is worse than prnet/wide."
    assert "difference −" in one.details
    assert "better on 12 of 12 scenes" in one.details
    assert "better on 0 of 12 scenes" in other.details
    assert "adjusted for all pairs" in one.details


def test_figures_are_those_of_the_leaderboard(board):
    named = places(board)
    row = board.rows[named["mean_face/default"]]
    assert named["prnet/wide"] == 0
    details = verdict(board, named["mean_face/default"], 0).details
    assert f"+{row.difference:.1f}"[:3] in details
    assert "p < 0.001" in details or f"{row.p_value:.2g}" in details


def test_equal_entries_cannot_be_told_apart(tmp_path):
    board = next(boards_of(build_store(tmp_path, seeds=2, scenes=2)))
    named = places(board)
    found = verdict(board, named["prnet/wide"], named["prnet/mini"])
    if found.kind == "same":
        assert "are not significantly different" in found.words
        assert "may go undetected" in found.words
    else:
        assert board.rows[named["prnet/mini"]].p_value < 0.05


def boards_of(store: ResultStore):
    yield from boards(store, suite="face", metric="nme_68_2d")


def test_entry_without_values_is_named(board):
    named = places(board)
    found = verdict(board, 0, named["broken_net/default"])
    assert found.kind == "unknown"
    assert found.words == "broken_net/default has no comparable values."


def test_one_seed_and_one_scene_say_nothing(tmp_path):
    board = next(boards_of(build_store(tmp_path, seeds=1, scenes=1)))
    assert verdict(board, 0, 1).kind == "unknown"


def test_scenes_are_ordered_by_value_and_by_dispute(board):
    row = board.per_scene[0]
    assert [row[place] for place in ordered_scenes(board, [0, 1], "best")] == sorted(row)
    assert [row[place] for place in ordered_scenes(board, [0, 1], "worst")] == sorted(row, reverse=True)
    apart = spread(board, [0, 1])
    assert apart == pytest.approx(np.abs(board.per_scene[0] - board.per_scene[1]))
    assert ordered_scenes(board, [0, 1], "disputed")[0] == int(apart.argmax())


def test_scene_that_one_alone_has_is_not_disputed(board):
    lonely = places(board)["broken_net/default"]
    assert np.isnan(spread(board, [0, lonely])).all()
    assert ordered_scenes(board, [0, lonely], "disputed") == []


def test_headline_comes_first_and_the_rest_keep_their_order(tmp_path):
    found = boards(build_store(tmp_path, seeds=1, scenes=2), suite="face", metric="all")
    names = [board.metric for board in found]
    first = [board.metric for board in headline_first(found, {"headline": names[1]})]
    assert first == [names[1], names[0], *names[2:]]
    assert [board.metric for board in headline_first(found, {})] == names


def test_name_does_not_turn_the_words_after_it(board):
    turned = names_of([replace(board.rows[0], method="a\u202eb\u2066c")])[0]
    assert turned == "a\ufffdb\ufffdc/wide"
    assert replace_direction_controls("nothing to mend: é 漢字 עברית") == "nothing to mend: é 漢字 עברית"


def test_names_are_no_longer_than_it_takes_to_tell_entries_apart(board):
    row = replace(board.rows[0], method="m", variant="v", note="lr=1")
    others = [replace(row, note="lr=2"), replace(row, note="lr=2"), replace(row, variant="w"), replace(row, is_cut_short=True)]
    assert names_of([row, *others]) == ["m/v (lr=1)", "m/v (lr=2) #1", "m/v (lr=2) #2", "m/w", "m/v (cut short)"]


@pytest.mark.parametrize(("unit", "said"), [("mm", " mm"), ("1e-2", " × 1e-2"), ("", "")])
def test_unit_stands_after_a_number(unit, said):
    assert unit_suffix(unit) == said

"""Comparison of two leaderboard entries in words, based on paired tests, and the scenes where entries differ."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from deep3dmap.dashboard.look import replace_direction_controls
from deep3dmap.results.board import Board
from deep3dmap.results.board_row import LeaderboardRow
from deep3dmap.results.comparison import LEVEL
from deep3dmap.results.export import significant

Kind = Literal["better", "worse", "same", "unknown"]


@dataclass(frozen=True)
class Verdict:
    """Result of comparing two entries.

    kind: of the first entry relative to the second. words: the verdict as a sentence. details: the numbers behind it.
    """

    kind: Kind
    words: str
    details: str = ""


def unit_suffix(unit: str) -> str:
    """Return a unit to append to a number: ` mm`, ` × 1e-2`, or nothing."""
    return f" {'× ' * unit[0].isdigit()}{unit}" if unit else ""


def names_of(rows: Sequence[LeaderboardRow]) -> list[str]:
    """Return a unique name for each entry: method and variant, with settings or a number only where needed."""
    short, noted = [_name(row, "") for row in rows], [_name(row, row.note) for row in rows]
    counts = Counter(short)
    return distinct([name if counts[name] == 1 else longer for name, longer in zip(short, noted)])


def _name(row: LeaderboardRow, note: str) -> str:
    return replace_direction_controls(
        f"{row.method}/{row.variant}{f' ({note})' * bool(note)}{' (cut short)' * row.is_cut_short}"
    )


def distinct(names: Sequence[str]) -> list[str]:
    """Return the names, with a number appended to those that occur more than once."""
    counts = Counter(names)
    numbers = {name: count(1) for name in counts}
    return [name if counts[name] == 1 else f"{name} #{next(numbers[name])}" for name in names]


def headline_first(found: Sequence[Board], card: Mapping[str, Any]) -> list[Board]:
    """Return the boards of one group, with the suite's headline metric first. card: of the suite."""
    return sorted(found, key=lambda board: board.metric != card.get("headline"))


def verdict(board: Board, first: int, second: int) -> Verdict:
    """Compare two rows of a board, given by index, on the scenes that both have."""
    names = names_of(board.rows)
    one, other = names[first], names[second]
    if first not in board.compared or second not in board.compared:
        absent = one if first not in board.compared else other
        return Verdict("unknown", f"{absent} has no comparable values.")
    i, j = board.compared.index(first), board.compared.index(second)
    found = board.comparisons
    shared, gap, p_value = int(found.shared[i, j]), float(found.difference[i, j]), float(found.p_value[i, j])
    scenes = f"{shared} shared scene{'s' * (shared != 1)}"
    if not np.isfinite(gap):
        return Verdict("unknown", f"{one} and {other} cannot be compared: they have {scenes}.")
    unit = unit_suffix(board.rows[first].unit)
    estimate = found.against(j)
    low, high = (float(end[i]) for end in estimate.interval())
    if not np.isfinite(p_value):
        words = f"A single value each is not enough to compare {one} and {other}; the difference is {_signed(gap)}{unit}."
        return Verdict("unknown", words, scenes)
    details = f"difference {_signed(gap)}{unit}, 95 % interval {_signed(low)} to {_signed(high)}"
    details += f", p {_probability(p_value)} (paired by scene, adjusted for all pairs), {_wins(board, first, second)}"
    if p_value >= 1 - LEVEL:
        smallest = float(estimate.smallest_gap()[i])
        words = f"{one} and {other} are not significantly different."
        if np.isfinite(smallest) and smallest > 0:
            words += f" With this many scenes and seeds, a difference below {significant(smallest, 2)}{unit} may go undetected."
        return Verdict("same", words, details)
    is_better = (gap > 0) == (board.rows[first].better == "up")
    return Verdict("better" if is_better else "worse", f"{one} is {'better' if is_better else 'worse'} than {other}.", details)


def spread(board: Board, places: list[int]) -> NDArray[np.float64]:
    """Return (S,) the range of the values of some rows on each scene, NaN where fewer than two have a value."""
    values = board.per_scene[places]
    known = np.isfinite(values).sum(0) > 1
    filled = np.where(np.isfinite(values), values, np.nan)
    found = np.full(values.shape[1], np.nan)
    if known.any():
        found[known] = np.nanmax(filled[:, known], 0) - np.nanmin(filled[:, known], 0)
    return found


def ordered_scenes(board: Board, places: list[int], order: str) -> list[int]:
    """Return indices of scenes sorted by the first row's value ("best", "worst") or by the range of all rows ("disputed").

    Scenes without a value to sort by are left out.
    """
    if order == "disputed":
        key = -spread(board, places)
    else:
        values = board.per_scene[places[0]]
        key = values if (board.rows[places[0]].better == "up") == (order == "worst") else -values
    return [int(place) for place in np.argsort(key, kind="stable") if np.isfinite(key[place])]


def best_index(values: NDArray[np.float64], better: str) -> int | None:
    """Return the index of the best value, None if there is none."""
    if not np.isfinite(values).any():
        return None
    return int(np.nanargmax(values) if better == "up" else np.nanargmin(values))


def _wins(board: Board, first: int, second: int) -> str:
    gaps = board.per_scene[first] - board.per_scene[second]
    gaps = gaps[np.isfinite(gaps)]
    wins = int((gaps > 0).sum() if board.rows[first].better == "up" else (gaps < 0).sum())
    return f"better on {wins} of {len(gaps)} scene{'s' * (len(gaps) != 1)}"


def _signed(value: float) -> str:
    return ("+" if value > 0 else "−" if value < 0 else "") + significant(abs(value), 3)


def _probability(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.2g}"

"""The table of a board: ranks, interval bars, coverage, costs, and notes on each entry."""

from collections.abc import Mapping, Sequence

from deep3dmap.dashboard import markup
from deep3dmap.dashboard.look import DASH, arrow, compact, duration, memory, number, one_line, with_unit
from deep3dmap.dashboard.markup import Column
from deep3dmap.dashboard.verdicts import distinct
from deep3dmap.results.board_row import LeaderboardRow
from deep3dmap.results.row_facts import name_scenes

RANK = Column("#", "rank", "entries with the same rank do not differ significantly (5 %, Holm over all pairs)")
METHOD = Column("method", "name")
INTERVAL = Column("95 % interval", "bar", "of the mean over scenes and seeds, both treated as random samples")
P = Column("p", "number wide", "compared with the first entry on shared scenes, adjusted for all pairs")
SEEDS = Column("seeds", "number wide", "a row with fewer than three seeds is provisional")
SCENES = Column("scenes", "number", "7/8: one of eight scenes is missing")
TIME = Column("time", "number", "training, fitting and reconstruction of a run, mean over seeds")
MEMORY = Column("memory", "number wide", "peak GPU memory, or peak memory of the process without a GPU; maximum over runs")
FAILED = Column("failed", "number wide", "number of failed runs")
LEAST_P = 0.0001
LONGEST = 160
MORE = (
    Column("median", "number wide", "over scenes"),
    Column("IQM", "number wide", "interquartile mean over scenes and seeds"),
    Column("gap", "number wide", "optimality gap: mean distance to the best entry's value on each scene"),
    Column("training", "number wide", "mean over seeds"),
    Column("per scene", "number wide", "mean time for fitting and reconstructing a scene"),
    Column("parameters", "number wide"),
)


def board_table(rows: Sequence[LeaderboardRow], others: Mapping[str, Sequence[LeaderboardRow]], is_full: bool) -> str:
    """Return the table.

    others: rows of further metrics, shown as columns. is_full: include more statistics, parts of the time, and parameters.
    """
    value = Column(with_unit(rows[0].metric, rows[0].unit), "number value", arrow(rows[0].better))
    beside = [
        Column(with_unit(metric, own[0].unit), "number wide", arrow(own[0].better)) for metric, own in others.items() if own
    ]
    columns = [RANK, METHOD, value, INTERVAL, *beside, *(MORE if is_full else ()), P, SEEDS, SCENES, TIME, MEMORY, FAILED]
    found = [{row.run_ids: row for row in own} for own in others.values()]
    ends = _ends(rows)
    lines = [
        [
            DASH if row.rank is None else str(row.rank),
            _entry(row),
            number(row.value),
            _interval(row, ends),
            *(number(getattr(own.get(row.run_ids), "value", None)) for own in found),
            *(_more(row) if is_full else ()),
            _p(row.p_value),
            str(row.seeds),
            markup.element("span", row.coverage, hint=_missing(row)),
            duration(row.seconds),
            memory(row.peak_gpu_mb or row.peak_ram_mb),
            str(row.failed) if row.failed else "",
        ]
        for row in rows
    ]
    return markup.table(columns, lines, _kinds(rows), "leaderboard")


def entry_names(rows: Sequence[LeaderboardRow]) -> list[str]:
    """Return a name for each entry, numbered if several share a method and variant."""
    return distinct([f"{row.method}/{row.variant}" for row in rows])


def interval(row: LeaderboardRow) -> str:
    """Return an interval as text, a dash if there is none."""
    return DASH if row.low is None else f"{number(row.low)} – {number(row.high)}"


def _entry(row: LeaderboardRow) -> str:
    name = markup.name(f"{row.method}/{row.variant}")
    linked = markup.link("run", name, run_id=row.run_ids[0]) if row.run_ids else name
    tags = [markup.tag("baseline")] if row.is_baseline else []
    if row.is_cut_short:
        tags.append(markup.tag("cut short", "warn", "runs reached a time limit; not ranked"))
    elif row.is_provisional and row.seeds:
        tags.append(markup.tag("provisional", "", "fewer than three seeds"))
    remarks = [
        f"from {row.given}" if row.given else "",
        row.note,
        _missing(row),
        row.error if row.failed or row.value is None else "",
    ]
    about = "".join(markup.element("small", markup.text(one_line(one, LONGEST))) for one in remarks if one)
    return linked + "".join(tags) + about


def _interval(row: LeaderboardRow, ends: tuple[float, float]) -> str:
    if row.value is None:
        return ""
    drawn = markup.bar(row.low, row.value, row.high, ends, "baseline" if row.is_baseline else "")
    return drawn + (markup.element("small", interval(row)) if row.low is not None else "")


def _more(row: LeaderboardRow) -> list[str]:
    per_scene_s = None if row.reconstruct_s is None else row.reconstruct_s + (row.fit_s or 0.0)
    values = [number(row.median), number(row.interquartile_mean), number(row.optimality_gap)]
    return [*values, duration(row.train_s), duration(per_scene_s), compact(row.parameters) if row.parameters else DASH]


def _missing(row: LeaderboardRow) -> str:
    return f"not scored on {name_scenes(row.missing_scenes)}" if row.missing_scenes else ""


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return f"< {LEAST_P}" if value < LEAST_P else f"{value:.2g}"


def _ends(rows: Sequence[LeaderboardRow]) -> tuple[float, float]:
    """Return the range of the axis for interval bars, based on methods only, because baselines may be far off."""
    methods = [row for row in rows if not row.is_baseline and row.value is not None]
    drawn = methods if len(methods) > 1 else rows
    ends = [end for row in drawn for end in (row.low, row.value, row.high) if end is not None]
    return min(ends, default=0.0), max(ends, default=0.0)


def _kinds(rows: Sequence[LeaderboardRow]) -> list[str]:
    found, before = [], None
    for row in rows:
        kinds = ["apart"] if row.rank is None else ["best"] if row.rank == 1 else []
        found.append(" ".join([*kinds, *(["group"] if row.rank != before else [])]))
        before = row.rank
    return found

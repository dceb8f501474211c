"""Stores with unusual content, for testing the dashboard pages."""

from dataclasses import replace

from stores import ENTRANTS, build_store, metric_rows, run_row

from deep3dmap.results.schema import CurveRow, MetricRow
from deep3dmap.results.store import ResultStore

ELSEWHERE = "evil.example"
NAMES = (
    f"![x](https://{ELSEWHERE}/a.png)",
    f"<img src=https://{ELSEWHERE}/b.png onerror=alert(1)>",
    "heads[/v2]",
    "a/b/c",
    "new\nline",
    ":material/home: $x$ **bold** # head",
    "=cmd|' /C calc'!A0",
    "x" * 300,
    "übung 面",
)


def empty(folder):
    return ResultStore(str(folder))


def one_row(folder):
    store = ResultStore(str(folder))
    row = run_row(ENTRANTS[0], 0)
    store.write_attempt(row, metric_rows(row, ENTRANTS[0], 1), [])
    return store


def failures_only(folder):
    store = ResultStore(str(folder))
    for seed, status in enumerate(("failed", "diverged", "out_of_memory", "stopped")):
        row = run_row(
            ENTRANTS[0], seed, status=status, error=f"Traceback\n{status}: no luck", train_s=0.0, steps=0, parameters=0
        )
        store.write_attempt(row, [], [])
    return store


def hostile(folder):
    """One name after another as method, variant, dataset, suite, metric, scene and error."""
    store = ResultStore(str(folder))
    for number, name in enumerate(NAMES):
        for seed in range(2):
            row = run_row(ENTRANTS[0], seed, method=name, variant=name, run_id=f"{number}{seed}" * 8, error=name)
            row = replace(row, command=name, inputs=[name])
            values = [
                MetricRow(row.run_id, 1, name, metric, 1.0 + number + seed, name, "down") for metric in ("nme_68_2d", name)
            ]
            points = [CurveRow(row.run_id, 1, step, step, name, 1.0 / step, name) for step in (1, 2)]
            store.write_attempt(row, values, points)
        row = run_row(ENTRANTS[0], 9, suite=name, tier=name, dataset=name, run_id=f"{number}f" * 8)
        store.write_attempt(row, [MetricRow(row.run_id, 1, "s", name, 1.0, name, "up")], [])
        store.write_trial_state(f"{number}e" * 8, "running", name)
        page = {"card": {"title": name, "authors": name}, "readme": f"# {name}", "options": [], "variants": {name: name}}
        store.write_card("method", name.replace("\n", " ")[:60], str(number), {"name": name, **page})
    return store


def plain(folder):
    return build_store(folder, seeds=3, scenes=6)


KINDS = {"plain": plain, "empty": empty, "one row": one_row, "failures only": failures_only, "hostile": hostile}

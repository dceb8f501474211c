"""Search for runs, and lists of related runs."""

from typing import Any

import pandas as pd

from deep3dmap.dashboard import markup, reading

SHOWN, NAMED = 50, 24
_SEARCHED = ("method", "variant", "suite", "tier", "dataset", "dataset_variant", "status")


def search_runs(attempts: pd.DataFrame, query: str) -> pd.DataFrame:
    """Return the newest runs whose id starts with `query`, or if there are none, those that match every word of it."""
    by_id = attempts.counts & attempts.run_id.str.startswith(query)
    if by_id.any() or not query:
        return reading.first(attempts, by_id, SHOWN)
    wanted = attempts.counts
    for word in query.lower().replace("/", " ").split():
        one = pd.Series(False, index=attempts.index)
        for name in _SEARCHED:
            one |= attempts[name].str.lower().str.contains(word, regex=False)
        wanted = wanted & one
    return reading.first(attempts, wanted, SHOWN)


def find_similar_runs(run: Any) -> pd.DataFrame:
    """Return the runs that differ from a run only in their seed, scene or code version, including the run itself."""
    runs = reading.snapshot().runs()
    same = pd.Series(True, index=runs.index)
    for name in ("suite", "protocol_version", "tier", "dataset", "dataset_version", "method", "variant", "settings_hash"):
        same &= runs[name] == run[name]
    return runs[same].sort_values(["seed", "scene"])


def show_sibling_runs(run: Any) -> None:
    """Show links to the other runs of the same entry."""
    own = find_similar_runs(run).head(NAMED)
    if len(own) < 2:
        return
    links = []
    for other in own.itertuples():
        name = f"seed {other.seed}" + (f" {other.scene!s}" if other.scene else "")
        name += " (different code)" if other.method_version != run.method_version else ""
        is_this = other.run_id == run.run_id
        links.append(f"<b>{markup.text(name)}</b>" if is_this else markup.link("run", markup.text(name), run_id=other.run_id))
    markup.show(markup.note("Runs of this entry: " + " · ".join(links)))

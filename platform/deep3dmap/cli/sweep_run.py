"""Carries out a sweep for `tune`, telling how it fares, and leaves its answer."""

import json

from deep3dmap.tune.plan import SweepPlan
from deep3dmap.tune.sweep import run_sweep


def follow_sweep(plan: SweepPlan, *, as_json: bool) -> int:
    """Carry out a sweep; returns the exit code."""
    out = run_sweep(plan, lambda *a: print(a[0], a[1] and (a[1].number, a[1].status, a[1].values, a[1].chosen)))
    print(out.state.finish, out.is_complete)
    return 0

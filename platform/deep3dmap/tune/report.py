"""The report of a sweep in Markdown, with its plots as separate files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deep3dmap.results.storage import Storage
from deep3dmap.tune.best import write_best
from deep3dmap.tune.importance import importance
from deep3dmap.tune.journal import SweepState, TrialRecord
from deep3dmap.tune.objective import best_of, front_of
from deep3dmap.tune.pictures import write_pictures
from deep3dmap.tune.plan import SweepPlan

_CAPTIONS = {
    "history": "The objective of every trial, and the best among those trained to the end.",
    "parameters": "The objective over each parameter.",
    "curves": "The objective during the training of each trial.",
    "pareto_seconds": "Quality over training time in seconds, labelled by trial.",
    "pareto_memory": "Quality over peak memory, labelled by trial.",
}


def write_report(plan: SweepPlan, state: SweepState) -> Path:
    """Write best.yaml, the plots and report.md to the sweep's output folder; returns the path of report.md."""
    plan.output.mkdir(parents=True, exist_ok=True)
    best_file = write_best(plan, state)
    pictures = write_pictures(plan, state.ended, plan.output)
    parts = [_head(plan, state), _format_best(plan, state, best_file)]
    if len(plan.objectives) > 1:
        parts.append(_front(plan, state))
    parts += [_importance(plan, state), _pictures(pictures), _trials(plan, state)]
    file = plan.output / "report.md"
    file.write_text("\n\n".join(part for part in parts if part) + "\n")
    if not (storage := Storage(plan.results)).local:
        storage.upload(plan.output, f"tune/{plan.name}")
    return file


def summary(plan: SweepPlan, state: SweepState) -> dict[str, Any]:
    """Return the outcome of a sweep as plain data."""
    best, default = best_of(state.ended, plan.quality), find_default_trial(state)
    shares, how = importance(plan.space, state.ended, plan.quality)
    return {
        "name": plan.name,
        "suite": plan.run.suite,
        "objective": plan.quality.key,
        "better": plan.quality.better,
        "finish": state.finish,
        "seconds": round(state.spent, 1),
        "trials": [as_dict(plan, record) for _, record in sorted(state.trials.items())],
        "best": None if best is None else as_dict(plan, best),
        "default": None if default is None else plan.quality.value(default.chosen),
        "pareto": [r.number for r in front_of(state.ended, plan.objectives)] if len(plan.objectives) > 1 else [],
        "importance": shares,
        "importance_by": how,
        "best_yaml": str(plan.output / "best.yaml") if best else "",
        "report": str(plan.output / "report.md"),
    }


def as_dict(plan: SweepPlan, record: TrialRecord) -> dict[str, Any]:
    """Return one trial as plain data."""
    return {
        "trial": record.number,
        "run_id": plan.trial_plan(record.number, record.values).run_id,
        "status": record.status,
        "values": record.values,
        "is_default": record.is_default,
        "metrics": record.chosen,
        "error": record.error,
    }


def find_default_trial(state: SweepState) -> TrialRecord | None:
    """Return the trial of the run as configured, None unless it was trained to the end."""
    return next((r for r in state.trials.values() if r.is_default and r.status == "ok"), None)


def comparison(plan: SweepPlan, state: SweepState) -> str:
    """Return a comparison of the best trial with the run as configured, in words."""
    best, default = best_of(state.ended, plan.quality), find_default_trial(state)
    if best is None:
        return "no trial has a value"
    text = f"trial {best.number}: {plan.quality.key} {plan.quality.value(best.chosen):.4g}{_unit(plan)}"
    if default is None:
        return text
    if default.number == best.number:
        return f"{text}; this is the run as configured: nothing better was found"
    before, after = plan.quality.value(default.chosen), plan.quality.value(best.chosen)
    change = f" ({100 * abs(after - before) / abs(before):.1f} % better)" if before else ""
    return f"{text}; as configured {before:.4g}{change}"


def _head(plan: SweepPlan, state: SweepState) -> str:
    run, counts = plan.run, _counts(state)
    return "\n".join(
        [
            f"# Sweep {plan.name}",
            "",
            f"{run.method}/{run.variant} on {run.dataset}/{run.dataset_variant}, data version {run.dataset_version}, "
            f"code version {run.method_version}, seed {run.seed}. All numbers are measured on the validation split.",
            "",
            f"Searcher {plan.options.searcher}, scheduler {plan.options.scheduler}; {counts}; {state.spent:.0f} s. "
            f"Reason for stopping: {state.finish}.",
            "",
            f"    {run.command}",
        ]
    )


def _format_best(plan: SweepPlan, state: SweepState, best_file: Path | None) -> str:
    best = best_of(state.ended, plan.quality)
    if best is None or best_file is None:
        return "## Best\n\nNo trial has a value."
    sentence = comparison(plan, state)
    lines = ["## Best", "", f"{sentence[0].upper()}{sentence[1:]}.", ""]
    lines += ["| key | tuned | configured |", "| --- | --- | --- |"]
    lines += [f"| `{key}` | {value} | {plan.space.fixed[key]} |" for key, value in best.values.items()]
    lines += ["", f"    deep3dmap train from={best_file}"]
    return "\n".join(lines)


def _front(plan: SweepPlan, state: SweepState) -> str:
    names = [objective.title for objective in plan.objectives]
    lines = ["## Pareto front", "", "No other trial is better in one of these objectives without being worse in another.", ""]
    lines += [f"| trial | {' | '.join(names)} |", "|" + " --- |" * (len(names) + 1)]
    for record in front_of(state.ended, plan.objectives):
        values = " | ".join(f"{objective.value(record.chosen):.4g}" for objective in plan.objectives)
        lines.append(f"| {record.number} | {values} |")
    return "\n".join(lines)


def _importance(plan: SweepPlan, state: SweepState) -> str:
    shares, how = importance(plan.space, state.ended, plan.quality)
    if not shares:
        return f"## Parameter importance\n\nNot computed: {how}."
    rows = [f"| `{key}` | {100 * share:.0f} % |" for key, share in shares.items()]
    return "\n".join(["## Parameter importance", "", f"{how}.", "", "| key | share |", "| --- | ---: |", *rows])


def _pictures(files: Sequence[Path]) -> str:
    shown = [f"![{_CAPTIONS[file.stem]}]({file.name})\n\n{_CAPTIONS[file.stem]}" for file in files]
    return "## Plots\n\n" + "\n\n".join(shown) if shown else ""


def _trials(plan: SweepPlan, state: SweepState) -> str:
    keys = list(plan.space.parameters)
    titles = ["trial", "status", plan.quality.title, "step", "s", *(f"`{key}`" for key in keys)]
    lines = ["## Trials", "", f"| {' | '.join(titles)} |", "| ---: | --- | ---: | ---: | ---: |" + " --- |" * len(keys)]
    for _, record in sorted(state.trials.items()):
        step = record.evaluations[-1].get("step", 0) if record.evaluations else 0
        value = plan.quality.value(record.chosen)
        cells = [record.number, record.status, f"{value:.4g}", f"{step:.0f}", f"{record.seconds:.0f}"]
        cells += [record.values.get(key, "") for key in keys]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _counts(state: SweepState) -> str:
    statuses = [record.status for record in state.trials.values()]
    return ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses)) or "no trials"


def _unit(plan: SweepPlan) -> str:
    return f" {plan.quality.unit}" if plan.quality.unit else ""

"""`deep3dmap benchmark`: compare methods on a suite."""

import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deep3dmap.bench.benchmark_arguments import BenchmarkArguments, BenchmarkRequest, parse_arguments
from deep3dmap.cli.arguments import VerbParser
from deep3dmap.cli.places import open_store
from deep3dmap.cli.printable import printable
from deep3dmap.config.plugins import get_load_error
from deep3dmap.config.saved import check_choice
from deep3dmap.core.errors import UserError
from deep3dmap.core.registry import methods
from deep3dmap.train import stage_marks

if TYPE_CHECKING:
    from deep3dmap.runs.tuned_settings import TunedSettings

EXAMPLES = """\
  deep3dmap benchmark suite=face tier=smoke untrained=true
  deep3dmap benchmark suites=[indoor,face,body] tier=smoke
  deep3dmap benchmark suite=indoor dataset=sevenscenes dataset.root=/data/redkitchen methods=[tsdf_fusion]
  deep3dmap benchmark suite=face methods=[prnet,mean_face] seeds=3 method.prnet.width=8 --resume
  deep3dmap benchmark suite=face +best=results/tune/NAME/best.yaml
  deep3dmap benchmark suite=face tuning=20"""


def main(argv: list[str]) -> int:
    """Run the verb; exit code 0 if every run succeeded, 1 if any failed."""
    stage_marks.mark("arguments")
    parser = VerbParser(
        "benchmark",
        "Run methods x datasets x seeds of a suite, score them and store the results.\n\n" + _describe_keys(),
        EXAMPLES,
    )
    parser.add_argument("--resume", action="store_true", help="run only missing or failed runs; continue partly trained ones")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the runs, their ids and the data that would be prepared, then exit",
    )
    parser.add_argument("--json", action="store_true", help="print the outcome of every run as JSON")
    flags, pairs = parser.parse(argv)
    request = parse_arguments(pairs)
    store, uri, work = open_store(request.own.results, make=not flags.dry_run)
    request = replace(request, own=replace(request.own, results=uri))
    stage_marks.mark("imports and planning")
    # Imported here so that --help does not load torch.
    from deep3dmap.bench.expansion import expand, list_skipped
    from deep3dmap.cli.dry_run import print_runs
    from deep3dmap.cli.run_plans import run_plans
    from deep3dmap.runs.planning import DatasetVersions

    versions = DatasetVersions(read_only=flags.dry_run)
    plans = []
    for suite_request in _split_by_suite(request):
        suite_request, tuned = _apply_tuning(suite_request, uri, work, resume=flags.resume, only_plan=flags.dry_run)
        _report_broken_methods(suite_request)
        plans += expand(suite_request, work, tuned, versions)
        for name, dataset in list_skipped(suite_request):
            message = (
                f"left out: {name} on {dataset}, which has no training data; list it in methods= to train on another dataset"
            )
            print(message, file=sys.stderr)
    if flags.dry_run:
        print_runs(plans, versions.unprepared)
        return 0
    return run_plans(plans, store, uri, work, resume=flags.resume, as_json=flags.json)


def _split_by_suite(request: BenchmarkRequest) -> list[BenchmarkRequest]:
    """Return one request per suite. Raises UserError if `suites=` is combined with a key of a single suite."""
    own = request.own
    if not own.suites:
        return [request]
    named = [key for key in ("suite", "methods", "datasets", "best") if getattr(own, key)]
    if named:
        raise UserError(f"suites= runs whole suites; leave out {named[0]}=, or give a single suite=")
    return [replace(request, own=replace(own, suite=suite, suites=[])) for suite in own.suites]


def _apply_tuning(
    request: BenchmarkRequest, uri: str, work: Path, *, resume: bool, only_plan: bool
) -> tuple[BenchmarkRequest, list["TunedSettings"]]:
    """Read `best=` and run the sweeps of `tuning=`; returns the request with the method of `best=`, and the tuned settings."""
    from deep3dmap.bench.expansion import tunable

    trials, found = tunable(request) if request.own.suite else (0, [])
    tuned: list[TunedSettings] = []
    if request.own.best:
        from deep3dmap.tune.best import read_best

        best = read_best(Path(request.own.best))
        names = list(request.own.methods)
        check_choice(
            best.method, next((name for name in names if name in _accepted_names(best.method)), ""), "methods", best.file
        )
        request = replace(request, own=replace(request.own, methods=[*names, *({best.method} - set(names))]))
        tuned.append(best.tuned_for())
    if trials and not only_plan:
        from deep3dmap.cli.sweep_run import tune_fairly

        tuned += tune_fairly(trials, found, request, uri, work, resume=resume)
    elif trials:
        for scored, run in found:
            print(f"would be tuned first, with {trials} trials: {run.method}/{run.variant} for {scored}")
    return request, tuned


def _accepted_names(choice: str) -> tuple[str, str]:
    return choice, choice.partition("/")[0]


def _report_broken_methods(request: BenchmarkRequest) -> None:
    for name in [] if request.own.methods else methods.names():
        if error := get_load_error(methods, name):
            print(f"deep3dmap: left out: {printable(error)}", file=sys.stderr)


def _describe_keys() -> str:
    defaults = BenchmarkArguments()
    lines = [(f"{of.name}={getattr(defaults, of.name) or ''}", of.metadata["help"]) for of in fields(BenchmarkArguments)]
    own = "\n".join(f"  {key:<16} {text}" for key, text in lines)
    return f"""keys:
{own}
  method.KEY=, dataset.KEY=, trainer.KEY=, optimizer.KEY=, schedule.KEY=, data.KEY=, inputs.KEY=   settings of all runs
  method.NAME.KEY=, dataset.NAME.KEY=   settings of the runs of one method or dataset"""

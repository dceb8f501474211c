"""`deep3dmap tune`: search for a method's best configuration on the validation split."""

import json
from typing import TYPE_CHECKING, Any

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.cli.places import open_store
from deep3dmap.core.errors import UserError

if TYPE_CHECKING:
    from deep3dmap.tune.plan import SweepPlan

DESCRIPTION = """\
Search for the configuration of a method that performs best on the validation split of a dataset, as one Ray Tune
experiment. Without tune.space.KEY=, the method's own search space is used."""
EXAMPLES = """\
  deep3dmap tune method=prnet/mini dataset=heads/smoke tune.trials=12
  deep3dmap tune method=prnet/mini dataset=heads/smoke 'tune.space.optimizer.lr=loguniform(1e-4,1e-2)' \\
      'tune.space.schedule.factor=uniform(0.1,0.9) if schedule.name == step'
  deep3dmap tune method=tsdf_fusion/mini dataset=rooms/smoke tune.metric=indoor/f_score_5cm tune.scheduler=none
  deep3dmap train from=results/tune/NAME/best.yaml
  deep3dmap benchmark suite=face +best=results/tune/NAME/best.yaml"""


def main(argv: list[str]) -> int:
    """Run the verb; exit code 0 if the sweep is complete and found a best configuration, else 1."""
    parser = VerbParser("tune", DESCRIPTION + "\n\n" + _describe_keys(), EXAMPLES)
    parser.add_argument(
        "--resume", action="store_true", help="continue a sweep that was interrupted, or whose budget was raised"
    )
    parser.add_argument("--restart", action="store_true", help="discard an earlier sweep of the same name, and start over")
    parser.add_argument("--space", action="store_true", help="print the search space, then exit")
    parser.add_argument("--json", action="store_true", help="print the outcome (or the space) as JSON")
    flags, pairs = parser.parse(argv)
    from deep3dmap.tune.options import check_library
    from deep3dmap.tune.tune_arguments import parse_arguments

    request = parse_arguments(pairs)
    if not flags.space:
        check_library(request.options.searcher)
    _, uri, work = open_store(request.results)
    # Imported here so that --help does not load torch.
    from deep3dmap.tune.plan import plan_sweep

    plan = plan_sweep(request, uri, work)
    if flags.space:
        _print_space(plan, flags.json)
        return 0
    _decide_start(plan, flags.resume, flags.restart)
    from deep3dmap.cli.sweep_run import follow_sweep

    return follow_sweep(plan, restart=flags.restart, as_json=flags.json)


def _decide_start(plan: "SweepPlan", resume: bool, restart: bool) -> None:
    if resume and restart:
        raise UserError("--resume and --restart are mutually exclusive")
    if not (resume or restart) and (plan.folder / "trials.jsonl").is_file():
        raise UserError(f"sweep '{plan.name}' already exists ({plan.folder}); add --resume, --restart or tune.name=")


def _print_space(plan: "SweepPlan", as_json: bool) -> None:
    texts: dict[str, Any] = plan.space.as_text()
    if as_json:
        print(json.dumps({"name": plan.name, "space": texts}, indent=1))
        return
    for key, text in texts.items():
        print(f"tune.space.{key}={text}   (configured: {plan.space.fixed[key]})")


def _describe_keys() -> str:
    from deep3dmap.tune.tune_arguments import option_lines

    lines = [
        f"  {'method=, dataset=':<32} NAME or NAME/VARIANT; any other key of `deep3dmap train` applies to every trial",
        f"  {'results=results':<32} result store: a folder",
        f"  {'tune.space.KEY=':<32} uniform(a,b), loguniform(a,b), quniform(a,b,step), randint(a,b), lograndint(a,b),",
        f"  {'':<32} near(f): from the configured value / f to the value * f,",
        f"  {'':<32} choice(a,b,...), grid(a,b,...) or auto; append `if OTHER.KEY == value` for a conditional setting",
    ]
    lines += [f"  {f'{key}={_format_default(default)}':<32} {text}" for key, default, text in option_lines()]
    return "keys:\n" + "\n".join(lines)


def _format_default(default: Any) -> str:
    return f"[{','.join(default)}]" if isinstance(default, list) else str(default)

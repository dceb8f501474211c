"""`deep3dmap evaluate`: evaluate a checkpoint on a suite."""

from dataclasses import replace
from pathlib import Path

from deep3dmap.bench.benchmark_arguments import parse_arguments
from deep3dmap.cli.arguments import VerbParser
from deep3dmap.cli.places import open_store
from deep3dmap.config.plain_data import check_plain
from deep3dmap.config.saved import check_choice
from deep3dmap.core.errors import UserError

EXAMPLES = """\
  deep3dmap evaluate results/work/1f3a.../checkpoints/step_000000200 suite=face
  deep3dmap evaluate CHECKPOINT suite=face dataset=aflw2000 dataset.root=/data/AFLW2000 --json"""


def main(argv: list[str]) -> int:
    """Run the verb; exit code 0 if the runs succeeded, 1 if any failed."""
    parser = VerbParser("evaluate", "Evaluate a checkpoint on a suite's test split and store the results.", EXAMPLES)
    parser.add_argument("checkpoint", help="the checkpoint: a folder, or a URI (s3://, gs://)")
    parser.add_argument("--resume", action="store_true", help="run only missing or failed runs")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    flags, pairs = parser.parse(argv)
    if Path(flags.checkpoint).is_file():
        raise UserError(f"{flags.checkpoint} is a file; give the folder of the checkpoint: {Path(flags.checkpoint).parent}")
    request = parse_arguments(pairs)
    if not request.own.suite:
        raise UserError("which suite? give suite=NAME (`deep3dmap suites` lists them)")
    # Imported here so that neither --help nor the errors above load torch.
    from deep3dmap.bench.expansion import checkpoint_plan
    from deep3dmap.cli.run_plans import run_plans
    from deep3dmap.frameworks.saved_checkpoints import read_checkpoint
    from deep3dmap.train.checkpoint_places import local_checkpoint

    checkpoint = read_checkpoint(local_checkpoint(flags.checkpoint))
    about = checkpoint.of_run()
    method = about["method"]
    if request.own.methods not in ([], [method]):
        raise UserError(f"the method is given by the checkpoint ({method}); leave out methods=")
    check_plain(about["config"], where=flags.checkpoint)
    check_choice(method, next(iter(request.own.methods), ""), "method", flags.checkpoint)
    store, uri, work = open_store(request.own.results)
    request = replace(request, own=replace(request.own, results=uri))
    plans = checkpoint_plan(request, about, flags.checkpoint, work)
    return run_plans(plans, store, uri, work, resume=flags.resume, as_json=flags.json)

"""`deep3dmap benchmark`: compare methods on a suite."""

from dataclasses import fields, replace

from deep3dmap.bench.arguments import BenchmarkArguments, parse_arguments
from deep3dmap.cli.arguments import VerbParser
from deep3dmap.cli.places import open_store

EXAMPLES = """\
  deep3dmap benchmark suite=face tier=smoke untrained=true
  deep3dmap benchmark suite=indoor dataset=sevenscenes dataset.root=/data/redkitchen methods=[tsdf_fusion]
  deep3dmap benchmark suite=face methods=[prnet,mean_face] seeds=3 method.prnet.width=8 --resume"""


def main(argv: list[str]) -> int:
    """Run the verb; exit code 0 if every run ended well, 1 if one failed."""
    parser = VerbParser(
        "benchmark", "Run methods x datasets x seeds of a suite, score them, store the rows.\n\n" + _keys(), EXAMPLES
    )
    parser.add_argument("--resume", action="store_true", help="run only what is missing or failed; half-trained runs go on")
    parser.add_argument("--dry-run", action="store_true", help="print the runs and their ids, and stop")
    parser.add_argument("--json", action="store_true", help="print the outcome of every run as JSON")
    flags, pairs = parser.parse(argv)
    request = parse_arguments(pairs)
    store, uri, work = open_store(request.own.results)
    request = replace(request, own=replace(request.own, results=uri))
    # Imported now, so that --help need not wait for torch.
    from deep3dmap.bench.plan import expand
    from deep3dmap.cli.run_plans import run_plans

    plans = expand(request, work)
    if flags.dry_run:
        for plan in plans:
            print(plan.run_id, plan.title)
        return 0
    return run_plans(plans, store, uri, work, resume=flags.resume, as_json=flags.json)


def _keys() -> str:
    own = "\n".join(f"  {field.name + '=':<12} {field.metadata['help']}" for field in fields(BenchmarkArguments))
    return f"""keys:
{own}
  method.NAME.KEY=, dataset.NAME.KEY=, dataset.KEY=, trainer.KEY=, optimizer.KEY=, data.cache=   values of the runs"""

"""`deep3dmap data generate|prepare|check`: generate or prepare a dataset, and check that it can be read."""

from typing import Any

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.config.compose import Layer, compose_dataset
from deep3dmap.config.open_dataset import open_dataset, prepare_dataset
from deep3dmap.core.errors import UserError

EXAMPLES = """\
  deep3dmap data generate rooms/smoke
  deep3dmap data generate heads/quick data.workers=2 data.cache=/data/cache
  deep3dmap data prepare sevenscenes dataset.root=/data/redkitchen
  deep3dmap data prepare scannet dataset.root=/shared/scannet data.cache=/shared/cache --ray
  deep3dmap data check sevenscenes dataset.root=/data/redkitchen"""


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = VerbParser("data", "Generate a procedural dataset, prepare a real one, or check that one can be read.", EXAMPLES)
    parser.add_argument(
        "action",
        choices=("generate", "prepare", "check"),
        help="generate and prepare create missing data; check also reads every sample",
    )
    parser.add_argument("name", help="a dataset, NAME or NAME/VARIANT")
    parser.add_argument("--ray", action="store_true", help="distribute the scans of ScanNet with Ray, locally or on a cluster")
    flags, pairs = parser.parse(argv)
    composed = compose_dataset(flags.name, (Layer("command line", tuple(pairs)),))
    name = flags.name.partition("/")[0]
    dataset = open_dataset(name, composed["dataset"], composed["data"])
    if flags.action == "generate" and dataset.card.needs_root:
        raise UserError(
            f"dataset '{name}' is read from disk, not generated; use `deep3dmap data prepare {name} dataset.root=...`"
        )
    _prepare(dataset, name, composed["data"], flags.ray)
    print(f"{flags.name}: {dataset.root}  version {dataset.version}")
    for split in dataset.card.splits:
        _report_split(dataset, split, read=flags.action == "check")
    return 0


def _prepare(dataset: Any, name: str, data: dict[str, Any], on_ray: bool) -> None:
    if not on_ray:
        prepare_dataset(dataset, data, quiet=False)
        return
    if not getattr(dataset, "prepares_with_executor", False):
        raise UserError(f"dataset '{name}' is prepared on one machine; leave out --ray")
    from deep3dmap.train.ray_executor import RayExecutor

    with RayExecutor() as executor:
        dataset.prepare(workers=executor, quiet=False)


def _report_split(dataset: Any, name: str, read: bool) -> None:
    split = dataset.split(name)
    print(f"  {name}: {len(split)} samples")
    for index in range(len(split) if read else 0):
        sample = split[index]
        frames = sample.get("depths", ())
        for frame in frames:
            if not frame.any():
                raise UserError(f"{name}/{split.name(index)}: a depth map has no valid pixel")

"""`deep3dmap data generate|prepare|check`: make what a dataset needs, and look whether it reads."""

from typing import Any

from deep3dmap.cli.arguments import VerbParser, on_terminal
from deep3dmap.config.compose import Layer, compose_dataset
from deep3dmap.config.open_dataset import open_dataset, prepare_dataset
from deep3dmap.core.errors import UserError

EXAMPLES = """\
  deep3dmap data generate rooms/smoke
  deep3dmap data generate heads/quick data.workers=2 data.cache=/data/cache
  deep3dmap data prepare sevenscenes dataset.root=/data/redkitchen
  deep3dmap data check sevenscenes dataset.root=/data/redkitchen"""


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = VerbParser("data", "Generate a procedural world, prepare a real dataset, or check that one reads.", EXAMPLES)
    parser.add_argument(
        "action",
        choices=("generate", "prepare", "check"),
        help="generate and prepare make what is missing; check reads every sample",
    )
    parser.add_argument("name", help="a dataset, NAME or NAME/VARIANT")
    flags, pairs = parser.parse(argv)
    composed = compose_dataset(flags.name, (Layer("command line", tuple(pairs)),))
    name = flags.name.partition("/")[0]
    dataset = open_dataset(name, composed["dataset"], composed["data"])
    if flags.action == "generate" and dataset.card.needs_root:
        raise UserError(
            f"dataset '{name}' is read from disk, not generated; use `deep3dmap data prepare {name} dataset.root=...`"
        )
    prepare_dataset(dataset, composed["data"], quiet=not on_terminal())
    print(f"{flags.name}: {dataset.root}  version {dataset.version}")
    for split in dataset.card.splits:
        _report(dataset, split, read=flags.action == "check")
    return 0


def _report(dataset: Any, name: str, read: bool) -> None:
    split = dataset.split(name)
    print(f"  {name}: {len(split)} samples")
    for index in range(len(split) if read else 0):
        sample = split[index]
        frames = sample.get("depths", ())
        for frame in frames:
            if not frame.any():
                raise UserError(f"{name}/{split.name(index)}: a depth map without one valid pixel")

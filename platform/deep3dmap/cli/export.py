"""`deep3dmap export`: export a checkpoint's weights as the weights shipped with a method."""

from pathlib import Path
from typing import Any

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.cli.places import check_folder
from deep3dmap.config.open_dataset import open_dataset
from deep3dmap.config.overrides import split_override

EXAMPLES = """\
  deep3dmap export CHECKPOINT -o methods/prnet
  deep3dmap export CHECKPOINT -o methods/prnet nme_68_2d=5.2 not_good_for='faces of children'"""


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = VerbParser(
        "export",
        "Write a checkpoint's weights in half precision, with a card, for use with `method.weights=shipped`.\n"
        "key=value pairs are added to the card as notes.",
        EXAMPLES,
    )
    parser.add_argument("checkpoint", help="the checkpoint (folder or URI)")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the folder of the method")
    flags, pairs = parser.parse(argv)
    check_folder(flags.out, "-o")
    # Imported here so that --help does not load torch.
    from deep3dmap.frameworks.saved_checkpoints import read_checkpoint
    from deep3dmap.train.checkpoint_places import local_checkpoint
    from deep3dmap.train.shipped_weights import write_shipped

    checkpoint = read_checkpoint(local_checkpoint(flags.checkpoint))
    card = _card(checkpoint.of_run(), dict(split_override(text) for text in pairs))
    file = write_shipped(checkpoint.weights(), card, flags.out)
    print(f"{file}: {file.stat().st_size / 1e6:.2f} MB, {card['method']}/{card['variant']}, {card['steps']} steps")
    return 0


def _card(about: dict[str, Any], notes: dict[str, Any]) -> dict[str, Any]:
    config = about["config"]
    dataset = open_dataset(about["dataset"], config["dataset"], config["data"])
    return {
        "method": about["method"],
        "variant": about["variant"],
        "trained_on": f"{about['dataset']}/{about['dataset_variant']}",
        "data_hash": dataset.version,
        "seed": config["seed"],
        "device": about.get("device", ""),
        "steps": about["step"],
        "seconds": round(about["seconds"], 1),
        "scores": about["metrics"],
        "notes": notes,
    }

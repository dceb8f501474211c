"""`deep3dmap reconstruct`: reconstruct meshes from photographs, a video or a scan."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.cli.method_or_checkpoint import check_method_or_checkpoint
from deep3dmap.cli.places import check_folder
from deep3dmap.config.compose import Layer, compose_dataset
from deep3dmap.config.open_dataset import open_dataset, prepare_dataset
from deep3dmap.config.overrides import as_override, split_override
from deep3dmap.config.plugins import list_working
from deep3dmap.core.dataset import Preparation, Split
from deep3dmap.core.errors import UserError
from deep3dmap.core.method import Method
from deep3dmap.core.registry import datasets
from deep3dmap.core.scene_names import folder_name
from deep3dmap.data.preparation_progress import track_progress

EXAMPLES = """\
  deep3dmap reconstruct prnet photo.jpg -o out                (with the weights shipped with the method)
  deep3dmap reconstruct CHECKPOINT photo.jpg -o out
  deep3dmap reconstruct CHECKPOINT photo.jpg -o out dataset.box=[120,80,300,260]
  deep3dmap reconstruct CHECKPOINT talk.mp4 -o out dataset.every=10
  deep3dmap reconstruct prnet photo.jpg -o out method.weights=256_256_resfcn256_weight method.atlas=uv-data
  deep3dmap reconstruct CHECKPOINT /data/AFLW2000 -o out dataset=aflw2000
  deep3dmap reconstruct multiview_face/object /data/views -o out method.size=0.1
  deep3dmap reconstruct nerf/grid /data/capture -o out        (photographs with a COLMAP model)
  deep3dmap reconstruct tsdf_fusion /data/redkitchen -o out method.voxel_size=0.04"""


@dataclass(frozen=True)
class InputResult:
    """The result of one input. files: names of files in `folder`; error: empty on success."""

    input: str
    folder: str
    files: list[str]
    error: str = ""


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = VerbParser(
        "reconstruct", "Reconstruct meshes from photographs or a scan with a trained or training-free method.", EXAMPLES
    )
    parser.add_argument("checkpoint", help="a checkpoint (folder or URI), or a method that needs none: NAME or NAME/VARIANT")
    parser.add_argument("input", type=Path, help="a photograph, a folder of photographs, a video, a scan, or calibrated views")
    parser.add_argument("-o", "--out", type=Path, required=True, help="output folder; each input gets its own subfolder")
    parser.add_argument("--json", action="store_true", help="print the files written for each input, and any errors, as JSON")
    flags, pairs = parser.parse(argv)
    if not flags.input.exists():
        raise UserError(f"{flags.input}: no such file or folder")
    check_folder(flags.out, "-o")
    values = dict(split_override(text) for text in pairs)
    check_method_or_checkpoint(flags.checkpoint)
    # Imported here so that neither --help nor the errors above load torch.
    from deep3dmap.cli.inference_method import method_for_inference
    from deep3dmap.cli.input_reconstruction import InputReconstructor

    method, job = method_for_inference(flags.checkpoint, values)
    _check_takes_input(method, job.method, flags.checkpoint)
    mapping, reconstruct = dict(job.config["inputs"]), InputReconstructor(method, job)
    name = str(values.pop("dataset", "")) or _recognise_dataset(flags.input, method, mapping)
    if name == "image_folder" and "box" in method.card.consumes and not {"dataset.box", "dataset.boxes"} & values.keys():
        values["dataset.boxes"] = "auto"
    split = _open_split(name, flags.input, values, {mapping.get(key, key) for key in method.card.consumes})
    written = []
    order: Iterable[int] = range(len(split))
    if not method.fits():
        # A fit shows its own progress. For other methods the time is unknown until some inputs are done: announce none.
        order = track_progress(order, Preparation("reconstructions", len(split), 0.0), 1)
    for index in order:
        scene = split.name(index)
        folder = flags.out / folder_name(scene)
        try:
            reconstruct(split[index], scene, folder)
            written.append(InputResult(scene, str(folder), sorted(file.name for file in folder.iterdir() if file.is_file())))
        except UserError as error:
            # One bad photograph does not stop the others.
            if len(split) == 1:
                raise
            written.append(InputResult(scene, str(folder), [], str(error)))
            print(f"deep3dmap: {error}", file=sys.stderr)
    if flags.json:
        print(json.dumps([asdict(one) for one in written], indent=1))
    else:
        print(_summarise(written, flags.out))
    return 2 if any(one.error for one in written) else 0


def _check_takes_input(method: Method, name: str, given: str) -> None:
    """Raise UserError for a method that takes no input."""
    if "samples" in method.card.produces and not method.card.consumes:
        raise UserError(
            f"method '{name}' is a generator and does not reconstruct an input; "
            f"use `deep3dmap generate {given} -o grid.png` to draw samples"
        )


def _summarise(written: list[InputResult], out: Path) -> str:
    good = [one for one in written if not one.error]
    if len(written) == 1:
        return f"{good[0].folder}: {' '.join(good[0].files)}"
    failed = len(written) - len(good)
    return f"{len(good)} reconstructions in {out}, one folder each" + (f"; {failed} inputs failed" if failed else "")


def _recognise_dataset(path: Path, method: Method, mapping: dict[str, str]) -> str:
    """Return the registered dataset that reads `path` and best provides the keys the method consumes."""
    wanted = {mapping.get(key, key) for key in method.card.consumes}
    found = [name for name in list_working(datasets) if getattr(datasets.load(name), "recognises", lambda _: False)(path)]
    found.sort(key=lambda name: len(wanted - set(datasets.load(name).card.provides)))
    if found:
        return found[0]
    raise UserError(f"{path}: no dataset recognises this layout; choose one with dataset=NAME ({', '.join(datasets.names())})")


def _open_split(name: str, path: Path, values: dict[str, Any], wanted: set[str]) -> Split:
    texts = tuple(as_override(key, value) for key, value in values.items())
    plain = name.partition("/")[0]
    given = {"root": str(path.resolve()), **getattr(datasets.load(plain), "for_reconstruction", {})}
    layer = Layer("input", tuple(as_override(f"dataset.{key}", value) for key, value in given.items()))
    composed = compose_dataset(name, (layer, Layer("command line", texts)))
    dataset = open_dataset(plain, composed["dataset"], composed["data"])
    _check_provided_keys(path, plain, dataset.card.provides, wanted)
    prepare_dataset(dataset, composed["data"], quiet=False, splits=["test"])
    return dataset.split("test")


def _check_provided_keys(path: Path, name: str, given: Sequence[str], wanted: set[str]) -> None:
    """Raise one UserError, instead of one per sample, if the dataset cannot provide the keys the method needs."""
    if missing := sorted(wanted - set(given)):
        cards = {other: datasets.load(other).card for other in list_working(datasets)}
        feeding = [other for other, card in cards.items() if card.needs_root and wanted <= set(card.provides)]
        raise UserError(
            f"{path}: read as '{name}', it has no {', '.join(missing)}, which the method needs; layouts that may provide "
            f"all: {', '.join(feeding) or 'none'} (`deep3dmap datasets NAME` describes each)"
        )

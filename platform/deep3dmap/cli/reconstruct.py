"""`deep3dmap reconstruct`: photographs, a video or a scan in, meshes and pictures out."""

import sys
from pathlib import Path
from typing import Any

from rich.progress import track

from deep3dmap.cli.arguments import VerbParser, on_terminal
from deep3dmap.cli.method_or_checkpoint import check_method_or_checkpoint
from deep3dmap.cli.places import check_folder
from deep3dmap.config.compose import Layer, compose_dataset
from deep3dmap.config.open_dataset import open_dataset, prepare_dataset
from deep3dmap.config.overrides import as_override, split_override
from deep3dmap.config.plugins import working
from deep3dmap.core.dataset import Split
from deep3dmap.core.errors import UserError
from deep3dmap.core.method import Method
from deep3dmap.core.registry import datasets
from deep3dmap.core.scene_names import folder_name

EXAMPLES = """\
  deep3dmap reconstruct prnet photo.jpg -o out                (with the weights that come with the method)
  deep3dmap reconstruct CHECKPOINT photo.jpg -o out
  deep3dmap reconstruct CHECKPOINT photo.jpg -o out dataset.box=[120,80,300,260]
  deep3dmap reconstruct CHECKPOINT talk.mp4 -o out dataset.every=10
  deep3dmap reconstruct prnet photo.jpg -o out method.weights=256_256_resfcn256_weight method.atlas=uv-data
  deep3dmap reconstruct CHECKPOINT /data/AFLW2000 -o out dataset=aflw2000
  deep3dmap reconstruct multiview_face/object /data/views -o out method.size=0.1
  deep3dmap reconstruct nerf/grid /data/capture -o out        (photographs with a COLMAP model)
  deep3dmap reconstruct tsdf_fusion /data/redkitchen -o out method.voxel_size=0.04"""


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = VerbParser(
        "reconstruct", "Reconstruct from photographs or a scan with a trained or training-free method.", EXAMPLES
    )
    parser.add_argument("checkpoint", help="a checkpoint (folder or URI), or a method that needs none: NAME or NAME/VARIANT")
    parser.add_argument("input", type=Path, help="a photograph, a folder of photographs, a video, a scan, or calibrated views")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the results; one folder per input")
    flags, pairs = parser.parse(argv)
    if not flags.input.exists():
        raise UserError(f"{flags.input}: no such file or folder")
    check_folder(flags.out, "-o")
    values = dict(split_override(text) for text in pairs)
    check_method_or_checkpoint(flags.checkpoint)
    # Imported now, so that --help and mistakes need not wait for torch.
    from deep3dmap.cli.inference_method import method_for_inference
    from deep3dmap.cli.input_reconstruction import InputReconstructor

    method, job = method_for_inference(flags.checkpoint, values)
    mapping, reconstruct = dict(job.config["inputs"]), InputReconstructor(method, job)
    name = str(values.pop("dataset", "")) or _recognise(flags.input, method, mapping)
    if name == "image_folder" and "box" in method.card.consumes and not {"dataset.box", "dataset.boxes"} & values.keys():
        values["dataset.boxes"] = "auto"
    split = _split(name, flags.input, values)
    done, failures = 0, []
    for index in track(range(len(split)), "reconstructing", disable=not on_terminal()):
        scene = split.name(index)
        try:
            reconstruct(split[index], scene, flags.out / folder_name(scene))
            done += 1
        except UserError as error:
            # One bad photograph does not cost the others their results.
            if len(split) == 1:
                raise
            failures.append(error)
            print(f"deep3dmap: {error}", file=sys.stderr)
    print(f"{done} reconstructions in {flags.out}" + (f", {len(failures)} inputs failed" if failures else ""))
    return 2 if failures else 0


def _recognise(path: Path, method: Method, mapping: dict[str, str]) -> str:
    """Ask the registered datasets which of them reads `path` and provides what the method consumes."""
    wanted = {mapping.get(key, key) for key in method.card.consumes}
    found = [name for name in working(datasets) if getattr(datasets.load(name), "recognises", lambda _: False)(path)]
    # A fitting layout that lacks an input says itself what it lacks, when it is read.
    found.sort(key=lambda name: len(wanted - set(datasets.load(name).card.provides)))
    if found:
        return found[0]
    raise UserError(
        f"{path}: no dataset recognises this layout; say which one reads it: dataset=NAME ({', '.join(datasets.names())})"
    )


def _split(name: str, path: Path, values: dict[str, Any]) -> Split:
    texts = tuple(as_override(key, value) for key, value in values.items())
    composed = compose_dataset(
        name, (Layer("input", (as_override("dataset.root", str(path.resolve())),)), Layer("command line", texts))
    )
    dataset = open_dataset(name.partition("/")[0], composed["dataset"], composed["data"])
    prepare_dataset(dataset, composed["data"], quiet=False, splits=["test"])
    return dataset.split("test")

"""`deep3dmap reconstruct`: photographs, a video or a scan in, meshes and pictures out."""

import hashlib
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

from deep3dmap.cli.arguments import VerbParser, on_terminal
from deep3dmap.config.compose import Layer, build_section, compose_dataset
from deep3dmap.config.open_dataset import open_dataset, prepare_dataset
from deep3dmap.config.overrides import as_override, split_override
from deep3dmap.config.schema import FitConfig
from deep3dmap.config.variants import overlay
from deep3dmap.core.asset import find_asset
from deep3dmap.core.dataset import Split
from deep3dmap.core.errors import UserError
from deep3dmap.core.method import Method, RendersViews
from deep3dmap.core.reconstruction import Reconstruction
from deep3dmap.core.registry import datasets, methods
from deep3dmap.frameworks import LoopSettings
from deep3dmap.render.face_files import write_face_files
from deep3dmap.render.reconstruction_pictures import picture_reconstruction
from deep3dmap.render.scene_files import write_novel_views, write_turntable
from deep3dmap.results.run_id import content_hash
from deep3dmap.runs.scene_reconstruction import reconstruct_scene
from deep3dmap.train.checkpoint_places import local_checkpoint
from deep3dmap.train.checkpoints import read_checkpoint
from deep3dmap.train.hosts import choose_device
from deep3dmap.train.job import TrainingJob
from deep3dmap.train.local_host import LocalHost
from deep3dmap.train.starting_weights import load_for_inference

EXAMPLES = """\
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
    values = dict(split_override(text) for text in pairs)
    method, job = _method(flags.checkpoint, values)
    mapping = dict(job.config["inputs"])
    name = str(values.pop("dataset", "")) or _recognise(flags.input, method, mapping)
    if name == "image_folder" and "box" in method.card.consumes and not {"dataset.box", "dataset.boxes"} & values.keys():
        values["dataset.boxes"] = "auto"
    split = _split(name, flags.input, values)
    reconstruct = _Reconstructor(method, job)
    done, failures = 0, []
    for index in track(range(len(split)), "reconstructing", disable=not on_terminal()):
        title = split.name(index).replace("/", "_")
        try:
            reconstruct(split[index], split.name(index), flags.out / title)
            done += 1
        except UserError as error:
            # One bad photograph does not cost the others their results.
            if len(split) == 1:
                raise
            failures.append(error)
            print(f"deep3dmap: {error}", file=sys.stderr)
    print(f"{done} reconstructions in {flags.out}" + (f", {len(failures)} inputs failed" if failures else ""))
    return 2 if failures else 0


class _Reconstructor:
    """Reconstructs one input after another, fitting the method to each of them where it fits."""

    def __init__(self, method: Method, job: TrainingJob) -> None:
        self.method, self.job = method, job
        self.mapping, self.seed = dict(job.config["inputs"]), int(job.config["seed"])
        # A fit goes on where an interrupted command left it, if that had the same settings and began at the same weights.
        state = {name: _content(value) for name, value in method.state_dict().items()}
        settings = {name: job.config[name] for name in ("method", "fit", "seed")}
        self.fit_name = f"fit-{content_hash([settings, state])[:8]}" if method.fits() else ""

    def __call__(self, sample: dict[str, Any], scene: str, folder: Path) -> None:
        """Write the reconstruction of a sample, with pictures, into `folder`."""
        device = getattr(self.method, "device", torch.device("cpu"))
        fits = self.job.scene_fits(self.method, LocalHost(device), folder / self.fit_name)
        outcome = reconstruct_scene(self.method, sample, scene, self.mapping, fits, self.seed)
        with torch.no_grad():
            reconstruction = self.method.details(outcome.reconstruction, outcome.given)
        _write(reconstruction, sample, folder)
        if isinstance(self.method, RendersViews) and "views" in self.method.card.produces:
            with torch.no_grad():
                write_novel_views(self.method.render, sample, folder)
        if fits:
            fits.restore()


def _content(value: Any) -> str:
    """Return a hash of a value of a state."""
    plain = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    return hashlib.sha256(plain.tobytes()).hexdigest()[:16]


def _method(named: str, values: dict[str, Any]) -> tuple[Method, TrainingJob]:
    device = choose_device(str(values.pop("device", "auto")))
    own = {key: values.pop(key) for key in list(values) if key.partition(".")[0] in ("method", "fit", "seed")}
    if "://" in named or Path(named).is_dir():
        if changed := [key for key in own if key.startswith("method.")]:
            raise UserError(f"{changed[0]}: a checkpoint keeps the configuration that it was trained with")
        checkpoint = read_checkpoint(local_checkpoint(named))
        about = checkpoint.about
        config = {**about["config"], **_fit_section(about["config"], own)}
        job = TrainingJob(about["method"], about["variant"], about["dataset"], about["dataset_variant"], config, "")
        method = job.build_method()
        load_for_inference(method, checkpoint.state())
    else:
        job = _untrained(named, own)
        method = job.build_method()
    if isinstance(method, torch.nn.Module):
        torch.nn.Module.train(method.to(device), False)
    return method, job


def _fit_section(config: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    given = {key.removeprefix("fit."): value for key, value in own.items() if key.startswith("fit.")}
    return {"fit": asdict(build_section(FitConfig, {**config.get("fit", {}), **given}))}


def _untrained(name: str, own: dict[str, Any]) -> TrainingJob:
    plain, variant, layers = overlay(methods, name)
    cls = methods.load(plain)
    given = {key.removeprefix("method."): value for key, value in own.items() if key.startswith("method.")}
    section = {**layers.get("method", {}), **given}
    for asset in cls.card.assets:
        if asset.names_file(section.get(asset.option)):
            section[asset.option] = str(find_asset(asset, str(section[asset.option])))
    config = asdict(LoopSettings()) | {
        "method": section,
        "seed": int(own.get("seed", 0)),
        **_fit_section({"fit": layers.get("fit", {})}, own),
    }
    job = TrainingJob(plain, variant, "", "", config, "")
    if job.trains:
        raise UserError(
            f"method '{name}' has to be trained first; give the folder of a checkpoint instead of its name"
            + (", or method.weights=FILE" if hasattr(cls.config_type, "weights") else "")
        )
    return job


def _recognise(path: Path, method: Method, mapping: dict[str, str]) -> str:
    """Ask the registered datasets which of them reads `path` and provides what the method consumes."""
    wanted = {mapping.get(key, key) for key in method.card.consumes}
    found = [name for name in datasets.names() if getattr(datasets.load(name), "recognises", lambda _: False)(path)]
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
    prepare_dataset(dataset, composed["data"], quiet=not on_terminal())
    return dataset.split("test")


def _write(reconstruction: Reconstruction, sample: dict[str, Any], folder: Path) -> None:
    reconstruction.save(folder)
    if reconstruction.mesh is not None and not reconstruction.mesh.is_empty:
        import trimesh

        mesh = reconstruction.mesh
        colors = None if mesh.colors is None else (mesh.colors * 255).astype("uint8")
        trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=colors, process=False).export(folder / "mesh.glb")
    if reconstruction.frame == "image" and "image" in sample:
        write_face_files(reconstruction, sample["image"], folder)
    if reconstruction.frame == "world" and reconstruction.mesh is not None:
        write_turntable(reconstruction.mesh, sample, folder)
    picture_reconstruction(reconstruction, sample, folder / "picture.png")

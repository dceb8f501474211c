"""What `deep3dmap reconstruct` does with a method and its inputs; it imports torch, which mistakes need not wait for."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deep3dmap.config.compose import build_section
from deep3dmap.config.plain_data import check_plain
from deep3dmap.config.saved import check_choice
from deep3dmap.config.schema import FitConfig
from deep3dmap.config.variants import overlay
from deep3dmap.core.asset import find_asset
from deep3dmap.core.errors import UserError
from deep3dmap.core.method import Method
from deep3dmap.core.reconstruction import Reconstruction
from deep3dmap.core.registry import methods
from deep3dmap.frameworks import LoopSettings
from deep3dmap.render.face_files import write_face_files
from deep3dmap.render.reconstruction_pictures import picture_reconstruction
from deep3dmap.results.run_id import content_hash
from deep3dmap.runs.scene_reconstruction import reconstruct_scene
from deep3dmap.train.checkpoint_places import local_checkpoint
from deep3dmap.train.checkpoints import read_checkpoint
from deep3dmap.train.hosts import choose_device
from deep3dmap.train.job import TrainingJob
from deep3dmap.train.local_host import LocalHost
from deep3dmap.train.starting_weights import load_for_inference


class InputReconstructor:
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
        if fits:
            fits.restore()


def load_method(named: str, is_checkpoint: bool, values: dict[str, Any]) -> tuple[Method, TrainingJob]:
    """Return a method ready for inference and the job it comes from; takes the keys it knows out of `values`.

    Raises UserError for a method that has to be trained first, and for settings that a checkpoint already has.
    """
    device = choose_device(str(values.pop("device", "auto")))
    chosen = str(values.pop("method", ""))
    own = {key: values.pop(key) for key in list(values) if key.partition(".")[0] in ("method", "fit", "seed")}
    if is_checkpoint:
        if changed := [key for key in own if key.startswith("method.")]:
            raise UserError(f"{changed[0]}: a checkpoint keeps the configuration that it was trained with")
        checkpoint = read_checkpoint(local_checkpoint(named))
        about = checkpoint.about
        check_plain(about["config"], where=named)
        check_choice(about["method"], chosen, "method", named)
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
    return {"fit": asdict(build_section(FitConfig, {**config.get("fit", {}), **given}, "fit."))}


def _untrained(name: str, own: dict[str, Any]) -> TrainingJob:
    plain, variant, layers = overlay(methods, name)
    cls = methods.load(plain)
    given = {key.removeprefix("method."): value for key, value in own.items() if key.startswith("method.")}
    section = {**layers.get("method", {}), **given}
    for asset in cls.card.assets:
        if asset.names_file(section.get(asset.option)):
            section[asset.option] = str(find_asset(asset, str(section[asset.option])))
    # Built once for its checks, which name the key as it was typed.
    build_section(cls.config_type, section, "method.")
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


def _content(value: Any) -> str:
    """Return a hash of a value of a state."""
    plain = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    return hashlib.sha256(plain.tobytes()).hexdigest()[:16]


def _write(reconstruction: Reconstruction, sample: dict[str, Any], folder: Path) -> None:
    reconstruction.save(folder)
    if reconstruction.mesh is not None and not reconstruction.mesh.is_empty:
        import trimesh

        mesh = reconstruction.mesh
        colors = None if mesh.colors is None else (mesh.colors * 255).astype("uint8")
        trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=colors, process=False).export(folder / "mesh.glb")
    if reconstruction.frame == "image" and "image" in sample:
        write_face_files(reconstruction, sample["image"], folder)
    picture_reconstruction(reconstruction, sample, folder / "picture.png")

"""The reconstruction step of `deep3dmap reconstruct`, in a separate module so that argument errors do not import torch."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deep3dmap.core.errors import UserError
from deep3dmap.core.method import Method, RendersViews
from deep3dmap.core.reconstruction import Reconstruction
from deep3dmap.render.face_files import write_face_files
from deep3dmap.render.reconstruction_pictures import picture_reconstruction
from deep3dmap.render.scene_files import write_novel_views, write_turntable
from deep3dmap.results.run_id import content_hash
from deep3dmap.runs.scene_reconstruction import reconstruct_scene
from deep3dmap.train.job import TrainingJob
from deep3dmap.train.local_host import LocalHost
from deep3dmap.train.start_watch import to_stderr


class InputReconstructor:
    """Reconstructs one input after another, fitting the method to each input if it is a fitted method."""

    def __init__(self, method: Method, job: TrainingJob) -> None:
        self.method, self.job = method, job
        self.mapping, self.seed = dict(job.config["inputs"]), int(job.config["seed"])
        # The folder name depends on settings and initial weights, so an interrupted fit is resumed only if both are unchanged.
        state = {name: _content(value) for name, value in method.state_dict().items()}
        settings = {name: job.config[name] for name in ("method", "fit", "seed")}
        self.fit_name = f"fit-{content_hash([settings, state])[:8]}" if method.fits() else ""

    def __call__(self, sample: dict[str, Any], scene: str, folder: Path) -> None:
        """Write the reconstruction of a sample, with pictures, to `folder`; a fit shows its progress."""
        device = getattr(self.method, "device", torch.device("cpu"))
        fits = self.job.scene_fits(self.method, LocalHost(device), folder / self.fit_name)
        if fits:
            fits.shows_progress = True
            to_stderr(
                f"{scene}: fitting {self.job.method}/{self.job.variant}; if interrupted, the same command resumes the fit"
            )
        outcome = reconstruct_scene(self.method, sample, scene, self.mapping, fits, self.seed)
        if outcome.fit:
            cut = f", {outcome.fit.cut_short}" if outcome.fit.cut_short else ""
            to_stderr(f"{scene}: fitted, {outcome.fit.steps} steps in {outcome.fit.seconds:.1f} s{cut}; rendering pictures")
        with torch.no_grad():
            reconstruction = self.method.details(outcome.reconstruction, outcome.given)
        _write(reconstruction, sample, folder)
        if isinstance(self.method, RendersViews) and "views" in self.method.card.produces:
            with torch.no_grad():
                write_novel_views(self.method.render, sample, folder)
            if reconstruction.mesh is not None and reconstruction.mesh.is_empty:
                to_stderr(
                    f"{scene}: the mesh is empty, so only the rendered views are usable; try more steps, or masks if available"
                )
        else:
            _require_surface(reconstruction, scene, folder)
        if fits:
            fits.restore()


def _require_surface(reconstruction: Reconstruction, scene: str, folder: Path) -> None:
    """Raise UserError if the mesh has no faces; it stays on disk for inspection, but does not count as a success."""
    if reconstruction.mesh is None or not reconstruction.mesh.is_empty:
        return
    findings = "; ".join(str(finding) for finding in reconstruction.notes.get("findings", ()))
    advice = findings or "check the units of depth and poses, and the sizes in method.KEY="
    raise UserError(f"{scene}: the mesh is empty ({folder}); {advice}")


def _content(value: Any) -> str:
    """Return a hash of one value of a state dict."""
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
    if reconstruction.frame == "world" and reconstruction.mesh is not None:
        write_turntable(reconstruction.mesh, sample, folder)
    picture_reconstruction(reconstruction, sample, folder / "picture.png")

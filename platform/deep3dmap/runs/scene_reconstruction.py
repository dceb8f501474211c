"""Reconstruction of a scene with a method, shared by the commands benchmark, tune, check and reconstruct."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from deep3dmap.core.method import Method
from deep3dmap.core.reconstruction import Reconstruction
from deep3dmap.frameworks.inputs import select
from deep3dmap.train.scene_fits import SceneFits
from deep3dmap.train.seeding import scene_entropy, seed_everything
from deep3dmap.train.session import TrainingSummary


@dataclass(frozen=True)
class SceneOutcome:
    """A reconstruction with its inputs and costs. fit: summary of the fit to the scene, if any. reconstruct_s: in seconds."""

    given: dict[str, Any]
    reconstruction: Reconstruction
    fit: TrainingSummary | None
    reconstruct_s: float


def reconstruct_scene(
    method: Method, offered: dict[str, Any], scene: str, mapping: Mapping[str, str], fits: SceneFits | None, seed: int
) -> SceneOutcome:
    """Fit a method to a scene, if it is fitted per scene, and reconstruct the scene.

    The method only receives the keys of `offered` that it consumes or can use. It reconstructs in eval mode, with random
    numbers that depend only on the seed and the scene. Raises UserError for a missing key, and DivergedError if the loss of the
    fit is not finite.
    """
    optional = [key for key in method.card.optional if mapping.get(key, key) in offered]
    given = select(offered, (*method.card.consumes, *optional), mapping)
    fit = fits.fit(scene, given) if fits else None
    set_eval_mode(method)
    seed_everything(seed, *scene_entropy(scene))
    began = now(method)
    with torch.no_grad():
        reconstruction = method.reconstruct(given)
    return SceneOutcome(given, reconstruction, fit, now(method) - began)


def set_eval_mode(method: Method) -> None:
    """Set eval mode, for batch norm and dropout, if the method is a module."""
    if isinstance(method, torch.nn.Module):
        torch.nn.Module.train(method, False)


def now(method: Method) -> float:
    """Return the time in seconds, after synchronising with the method's device."""
    device = getattr(method, "device", None)
    if isinstance(device, torch.device) and device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()

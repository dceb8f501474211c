"""The one way in which a method meets a scene, for benchmark, tune, check and reconstruct alike."""

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
    """A reconstruction with what it took. fit: how the fit to the scene went, None where the method has none. Seconds."""

    given: dict[str, Any]
    reconstruction: Reconstruction
    fit: TrainingSummary | None
    reconstruct_s: float


def reconstruct_scene(
    method: Method, offered: dict[str, Any], scene: str, mapping: Mapping[str, str], fits: SceneFits | None, seed: int
) -> SceneOutcome:
    """Hand a method the keys it consumes or may use of what a suite offers, and nothing else: fit it if it fits, reconstruct.

    The method is in eval mode and its random numbers depend on the seed and the scene only. Raises UserError for a key that is
    missing, DivergedError where the fit's loss is not finite.
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
    """Switch batch norm and dropout of any method that is a module to inference."""
    if isinstance(method, torch.nn.Module):
        torch.nn.Module.train(method, False)


def now(method: Method) -> float:
    """Return the clock's seconds once the device of a method has done what it was asked."""
    device = getattr(method, "device", None)
    if isinstance(device, torch.device) and device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()

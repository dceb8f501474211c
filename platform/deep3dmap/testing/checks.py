"""The checks of the method contract. Each takes a Subject, and returns a line for the report card or raises ViolationError."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deep3dmap.config.variants import variants
from deep3dmap.core.keys import describe_key
from deep3dmap.core.mesh import Mesh
from deep3dmap.core.method import Generates, Method, RendersViews
from deep3dmap.core.options import describe_options
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.core.reconstruction import ARRAYS, Reconstruction
from deep3dmap.core.registry import methods
from deep3dmap.testing.method_under_test import SCENE, Subject
from deep3dmap.train.checkpoints import CheckpointFolder
from deep3dmap.train.curve_writer import read_curves
from deep3dmap.train.resources import peak_ram_mb
from deep3dmap.train.scene_fits import scene_folder
from deep3dmap.train.state_copies import copy_state

STEPS = 2
# Relative to the size of the updates.
WORKERS_TOLERANCE = 1e-2
CAPABILITIES: dict[str, type] = {"views": RendersViews, "samples": Generates}


class ViolationError(AssertionError):
    """The method violates its contract; the message says how."""


def check_interface(subject: Subject) -> str:
    """The class has a valid card with known keys, a documented config and a `mini` variant."""
    _require(issubclass(subject.cls, Method), f"{subject.cls.__name__} is not a deep3dmap.core.Method")
    for key in (*subject.card.consumes, *subject.card.trains_on):
        describe_key(key)
    parts = {"mesh", "cameras", *ARRAYS}
    unknown = set(subject.card.produces) - parts - set(CAPABILITIES)
    _require(not unknown, f"card.produces names {sorted(unknown)}; a Reconstruction has {sorted(parts)}")
    for name, kind in CAPABILITIES.items():
        able = issubclass(subject.cls, kind)
        _require(able or name not in subject.card.produces, f"card.produces names {name}, which requires {kind.__name__}")
    _require("mini" in variants(methods, subject.name), "no `mini` variant; every method needs one that trains on a CPU")
    undocumented = [name for name, _, _, text in describe_options(subject.cls.config_type) if not text]
    _require(not undocumented, f"config fields without a description: {undocumented}")
    return f"{len(describe_options(subject.cls.config_type))} documented options"


def check_training(subject: Subject) -> str:
    """Two training steps yield finite losses and change the weights."""
    before = _copy_weights(subject.build())
    method, summary = subject.train("training", STEPS)
    if not subject.learns:
        return "does not train on a dataset"
    curve = [row["value"] for row in read_curves(subject.folder / "training" / "curves.jsonl") if row["name"] == "loss"]
    _require(bool(np.isfinite(curve).all()) if curve else summary.steps > 0, f"losses {curve} after {summary.steps} steps")
    _require(not _equal(before, _copy_weights(method)), "the state did not change in two steps")
    return f"{summary.steps} steps, loss {', '.join(f'{value:.4g}' for value in curve)}"


def check_reconstruction(subject: Subject) -> str:
    """A reconstruction has a frame, a unit and all parts that the card promises, and can be saved and loaded."""
    method, _ = subject.train("training", STEPS)
    result = subject.reconstruct(method)
    _require(bool(result.frame and result.unit), "the reconstruction has no frame or no unit")
    missing = set(subject.card.produces) - set(result.produced()) - {"views"}
    _require(not missing, f"card.produces promises {sorted(missing)}, which the reconstruction lacks")
    promised = {"frame": subject.card.frame, "gauge": subject.card.gauge}
    broken = [name for name, value in promised.items() if value and getattr(result, name) != value]
    _require(not broken, f"the card promises {promised}, but the reconstruction has a different {', '.join(broken)}")
    again = _save_and_load(result, subject.folder / "reconstruction")
    _require(again.produced() == result.produced(), "saving and loading loses parts")
    return f"{', '.join(result.produced())} in {result.frame} frame, {result.unit}"


def check_save_load(subject: Subject) -> str:
    """A method that loads the state of another instance returns the same reconstruction."""
    method, _ = subject.train("training", STEPS)
    other = subject.build()
    state = CheckpointFolder(subject.folder / "training" / "checkpoints").newest()
    _require(state is not None, "training left no complete checkpoint")
    other.load_state_dict(state[1]["method"])  # type: ignore[index]
    _require_equal_reconstructions(subject.reconstruct(method), subject.reconstruct(other), "after save and load")
    return "bit for bit"


def check_determinism(subject: Subject) -> str:
    """The same seed results in the same weights, reconstruction and renderings."""
    first, second = (subject.train(name, STEPS)[0] for name in ("first", "second"))
    _require(_equal(_copy_weights(first), _copy_weights(second)), "two runs with the same seed ended in different states")
    _require_equal_reconstructions(
        subject.reconstruct(first), subject.reconstruct(second), "between two runs with the same seed"
    )
    _require_equal_views(subject, first, second)
    return "bit for bit"


def check_fit(subject: Subject) -> str:
    """A fit to a scene has finite losses and changes the state; an interrupted and resumed fit ends in the identical state."""
    if not subject.fits:
        return "is not optimised per scene"
    start, unbroken = _copy_weights(subject.build()), _copy_weights(subject.fitted("fit-unbroken"))
    losses = _loss_curve(scene_folder(subject.folder / "fit-unbroken", SCENE))
    _require(bool(losses) and bool(np.isfinite([loss for _, loss in losses]).all()), f"losses of the fit: {losses}")
    _require(not _equal(start, unbroken), "the state did not change in a fit")
    subject.fitted("fit-resumed", stop_after=len(losses) // 2)
    _require(_equal(unbroken, _copy_weights(subject.fitted("fit-resumed"))), "a resumed fit ends in a different state")
    resumed = _loss_curve(scene_folder(subject.folder / "fit-resumed", SCENE))
    _require(losses == resumed, f"the loss curves of the fit differ: {losses} and {resumed}")
    return f"bit for bit over {len(losses)} steps"


def check_resume(subject: Subject) -> str:
    """Training for 2k steps equals training for k, stopping, and resuming to 2k: weights and loss curve, bit for bit."""
    if not subject.learns:
        return "does not train on a dataset"
    unbroken, _ = subject.train("unbroken", 2 * STEPS)
    # Interrupt the run instead of reducing its budget, because the schedule may depend on the budget.
    subject.train("resumed", 2 * STEPS, stop_after=STEPS)
    resumed, summary = subject.train("resumed", 2 * STEPS)
    _require(_equal(_copy_weights(unbroken), _copy_weights(resumed)), "the state differs from that of an uninterrupted run")
    curves = [_loss_curve(subject.folder / name) for name in ("unbroken", "resumed")]
    _require(curves[0] == curves[1], f"the loss curves differ: {curves[0]} and {curves[1]}")
    return f"bit for bit over {summary.steps} steps"


def check_workers(subject: Subject) -> str:
    """Two workers make the same updates as one, also with gradient accumulation.

    If the updates depend on the worker, as with batch norm or random numbers, two runs of two workers are compared instead. The
    runs use plain gradient descent: Adam's first steps have the size of the learning rate regardless of the gradient, so
    gradients that consist of rounding errors would count as much as real ones. That the workers' weights stay equal is checked
    in every training with several workers.
    """
    if not subject.learns or not isinstance(subject.build(), torch.nn.Module):
        return "one process is enough"
    from deep3dmap.train import ray_runtime
    from deep3dmap.train.trainer import train_on_workers

    ray_runtime.connect(cpus=4)
    start, depends = _copy_weights(subject.build()), _depends_on_worker(subject.build())  # type: ignore[arg-type]
    # Two workers first: if training with several workers fails, the run with one is not needed.
    runs = ((2, 1), (2, 1)) if depends else ((2, 1), (1, 1), (2, 2))
    updates = []
    for number, (workers, accumulate) in enumerate(runs):
        name = f"workers-{number}"
        job = subject.job(name, ("optimizer.name=sgd",), max_steps=STEPS, workers=workers, accumulate=accumulate)
        train_on_workers(job, subject.folder / "ray")
        found = CheckpointFolder(subject.folder / name / "checkpoints").newest()
        _require(found is not None, f"{workers} workers left no complete checkpoint")
        updates.append(_changes(start, found[1]["method"]))  # type: ignore[index]
    expected = updates.pop(0 if depends else 1)
    worst = max(_relative_distance(expected, other) for other in updates)
    _require(worst <= WORKERS_TOLERANCE, f"the updates of two workers differ by {worst:.2g} of their size")
    return f"{'two runs of two workers' if depends else 'one and two workers, also accumulated'}: updates differ by {worst:.2g}"


def check_cost(subject: Subject) -> str:
    """Measure seconds per step and per reconstruction, and the peak memory, for the report card."""
    began = time.perf_counter()
    method, summary = subject.train("cost", STEPS)
    trained = time.perf_counter() - began
    began = time.perf_counter()
    subject.reconstruct(method)
    step = f"{trained / summary.steps:.2f} s per step, " if summary.steps else ""
    return f"{step}{time.perf_counter() - began:.2f} s per reconstruction, {peak_ram_mb():.0f} MB peak"


CHECKS: dict[str, Callable[[Subject], str]] = {
    "interface": check_interface,
    "training": check_training,
    "reconstruction": check_reconstruction,
    "save and load": check_save_load,
    "determinism": check_determinism,
    "exact resume": check_resume,
    "exact fit": check_fit,
    "two workers": check_workers,
    "cost": check_cost,
}


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ViolationError(message)


def _depends_on_worker(module: torch.nn.Module) -> bool:
    """Return whether outputs depend on the worker, through statistics of its part of a batch or through random numbers."""
    layers = (torch.nn.modules.batchnorm._BatchNorm, torch.nn.modules.dropout._DropoutNd)
    return getattr(module, "draws", False) or any(isinstance(part, layers) for part in module.modules())


def _copy_weights(method: Method) -> dict[str, Any]:
    return copy_state(method.state_dict())


def _equal(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(_distance(first[name], second[name]) == 0 for name in first)


def _distance(first: Any, second: Any) -> float:
    if isinstance(first, torch.Tensor):
        return float((first.double() - second.double()).abs().max()) if first.numel() else 0.0
    return 0.0 if np.array_equal(first, second) else float("inf")


def _changes(start: dict[str, Any], end: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {name: end[name].double() - start[name].double() for name in end if isinstance(end[name], torch.Tensor)}


def _relative_distance(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    """Return the relative distance of two updates: the maximum of that over all tensors and those of single large tensors."""
    size = sum(float(change.square().sum()) for change in first.values())
    if not size:
        return 0.0 if all(not change.any() for change in second.values()) else float("inf")
    distances = {name: float((change - second[name]).square().sum()) for name, change in first.items()}
    # A tensor whose gradient consists of rounding errors, such as a bias before a norm, only counts in the sum.
    counting = [name for name, change in first.items() if float(change.square().sum()) > 1e-4 * size]
    single = max((distances[name] / float(first[name].square().sum()) for name in counting), default=0.0)
    return float(max(sum(distances.values()) / size, single) ** 0.5)


def _loss_curve(folder: Path) -> list[tuple[int, float]]:
    return [(row["step"], row["value"]) for row in read_curves(folder / "curves.jsonl") if row["name"] == "loss"]


def _save_and_load(result: Reconstruction, folder: Path) -> Reconstruction:
    result.save(folder)
    return Reconstruction.load(folder)


def _require_equal_reconstructions(first: Reconstruction, second: Reconstruction, when: str) -> None:
    for name in first.produced():
        a, b = getattr(first, name), getattr(second, name)
        same = _COMPARISONS.get(name, _same_array)(a, b)
        _require(same, f"`{name}` differs {when}")


def _require_equal_views(subject: Subject, first: Method, second: Method) -> None:
    """Compare the renderings of the same scene by two methods."""
    a, b = subject.rendered(first), subject.rendered(second)
    same = a is None or b is None or np.array_equal(a.images, b.images)
    _require(same, "renderings differ between two runs with the same seed")


def _same_array(first: Any, second: Any) -> bool:
    return np.array_equal(first, second, equal_nan=True)


def _same_cameras(first: list[Camera], second: list[Camera]) -> bool:
    return len(first) == len(second) and all(
        (a.width, a.height) == (b.width, b.height)
        and np.array_equal(a.intrinsics, b.intrinsics)
        and np.array_equal(a.world_from_camera, b.world_from_camera)
        for a, b in zip(first, second)
    )


def _same_mesh(first: Mesh, second: Mesh) -> bool:
    return np.array_equal(first.vertices, second.vertices) and np.array_equal(first.faces, second.faces)


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {"mesh": _same_mesh, "cameras": _same_cameras}

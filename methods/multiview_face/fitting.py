"""Fit one subject to its views by differentiable rendering, coarse to fine (energies as in Zollhoefer et al., 2018).

E = landmarks + outline + silhouette + photometric + prior + mesh regularisers. Successive stages optimise more parameters at
higher resolutions.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from deep3dmap.config.schema import OptimizerConfig
from deep3dmap.core import Step
from deep3dmap.frameworks import TrainLoop
from deep3dmap.geometry.cameras import scale_intrinsics
from deep3dmap.geometry.image_losses import landmark_loss, mask_chamfer_loss, photometric_loss, silhouette_iou_loss
from deep3dmap.geometry.mesh_losses import edge_length_loss, laplacian_loss, normal_consistency_loss
from deep3dmap.geometry.mesh_topology import MeshTopology
from deep3dmap.methods.multiview_face.fit_parameters import FitParameters
from deep3dmap.render.renderer import View
from deep3dmap.render.soft import SoftRenderer

# Learning rates: radians and metres for a pose, units of sigma, metres for offsets, RGB.
RATES = {"pose": 4e-3, "scale": 4e-3, "light": 4e-2, "tint": 2e-2, "offsets": 3e-4}
COEFFICIENT_RATE = 6e-2


@dataclass(frozen=True)
class Evidence:
    """One photograph. image: (3, H, W). mask: (H, W). landmarks: (L, 2) pixels with weight (L,), or None."""

    image: Tensor
    mask: Tensor
    view: View
    landmarks: Tensor | None = None
    landmark_weight: Tensor | None = None


@dataclass(frozen=True)
class Stage:
    """One stage of the schedule.

    side: longer side of the pictures in pixels. sigma: softness of edges, squared NDC. free: the parameters to optimise.
    weights: weight of each energy term; terms without a weight are not computed. rate: factor of all learning rates.
    """

    name: str
    steps: int
    side: int
    sigma: float
    free: tuple[str, ...]
    weights: dict[str, float] = field(default_factory=dict)
    rate: float = 1.0


def stages_for(subject: FitParameters, stages: Sequence[Stage]) -> list[Stage]:
    """Return the stages that optimise at least one of the subject's parameters; a sphere, for example, has no expression."""
    return [stage for stage in stages if _groups(subject, stage)]


def fit(
    subject: FitParameters,
    evidence: Sequence[Evidence],
    stages: Sequence[Stage],
    views_per_step: int,
    seed: int,
    loop: TrainLoop,
) -> Iterator[Step]:
    """Optimise `subject` in place, starting from the loop's current step; each step uses `views_per_step` views.

    The order of the views is random and depends on the seed only.
    """
    generator, begun = torch.Generator().manual_seed(seed), 0
    for stage in stages:
        orders = list(islice(_view_orders(len(evidence), views_per_step, generator), stage.steps))
        done = min(max(loop.step - begun, 0), stage.steps)
        begun += stage.steps
        if done < stage.steps:
            yield from _fit_stage(subject, [resize(one, stage.side) for one in evidence], stage, orders[done:], loop)


def _fit_stage(
    subject: FitParameters,
    evidence: Sequence[Evidence],
    stage: Stage,
    orders: Sequence[list[int]],
    loop: TrainLoop,
) -> Iterator[Step]:
    adam = OptimizerConfig(name="adam", betas=[0.9, 0.95])
    loop.optimizer(stage.name, _groups(subject, stage), adam, schedule=lambda step: 1.0)
    renderer = SoftRenderer(sigma=stage.sigma, gamma=1e-4, shading="gouraud")
    for chosen in orders:
        with loop.micro_batch(stage.name):
            terms = energy(subject, [evidence[index] for index in chosen], renderer, stage.weights)
            loss = torch.stack(list(terms.values())).sum()
            loop.backward(loss)
        loop.update(stage.name)
        yield Step(loss.detach(), {name: term.detach() for name, term in terms.items()})
    loop.release(stage.name)


def _groups(subject: FitParameters, stage: Stage) -> list[dict[str, Any]]:
    rates = {name: stage.rate * RATES.get(name, COEFFICIENT_RATE) for name in stage.free}
    groups = [{"params": subject.free((name,)), "lr": rate} for name, rate in rates.items()]
    return [group for group in groups if group["params"]]


def _view_orders(count: int, views_per_step: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Yield the views of successive steps indefinitely; every view is used once before any is repeated."""
    order: list[int] = []
    while True:
        if len(order) < min(views_per_step, count):
            order = torch.randperm(count, generator=generator).tolist()
        yield order[:views_per_step]
        order = order[views_per_step:]


def energy(
    subject: FitParameters, evidence: Sequence[Evidence], renderer: SoftRenderer, weights: dict[str, float]
) -> dict[str, Tensor]:
    """Return the weighted terms, averaged over the views."""
    surface, lights = subject.surface(), subject.lights()
    sums: dict[str, list[Tensor]] = {}
    for one in evidence:
        if "landmarks" in weights and one.landmarks is not None:
            sums.setdefault("landmarks", []).append(_landmark_term(subject, surface.vertices, one))
        if "outline" in weights:
            pixels = project_points(surface.vertices, one.view)
            sums.setdefault("outline", []).append(mask_chamfer_loss(pixels, one.mask, unit=max(one.mask.shape)))
        if "silhouette" in weights or "photometric" in weights:
            drawn = renderer.render(surface, one.view, lights, background=(0.0, 0.0, 0.0))
            if "silhouette" in weights:
                sums.setdefault("silhouette", []).append(silhouette_iou_loss(drawn.silhouette, one.mask))
            if "photometric" in weights and drawn.face_id is not None:
                covered = one.mask * drawn.face_id.ge(0).to(one.mask)
                sums.setdefault("photometric", []).append(photometric_loss(drawn.image, one.image, covered))
    terms = {name: weights[name] * torch.stack(values).mean() for name, values in sums.items()}
    return terms | _regularisers(subject, weights)


def _landmark_term(subject: FitParameters, vertices: Tensor, one: Evidence) -> Tensor:
    points = subject.template.landmarks(vertices[None])
    if points is None or one.landmarks is None:
        return vertices.new_zeros(())
    pixels = project_points(points[0], one.view)
    side = max(one.view.height, one.view.width)
    return landmark_loss(pixels, one.landmarks, one.landmark_weight, unit=side)


def _regularisers(subject: FitParameters, weights: dict[str, float]) -> dict[str, Tensor]:
    terms = {}
    if "prior" in weights:
        terms["prior"] = weights["prior"] * subject.prior()
    # In units of the subject's size, for which the usual weights in the literature are meant.
    resting, offsets = subject.rest_vertices() / subject.size, subject.offsets / subject.size
    regular: dict[str, tuple[Callable[[Tensor, MeshTopology], Tensor], Tensor]] = {
        "laplacian": (laplacian_loss, resting),
        "edge": (edge_length_loss, resting),
        "normal": (normal_consistency_loss, resting),
        "smooth_offsets": (laplacian_loss, offsets),
        "smooth_tint": (laplacian_loss, subject.tint),
    }
    for name, (loss, values) in regular.items():
        if name in weights:
            terms[name] = weights[name] * loss(values, subject.topology)
    return terms


def project_points(points: Tensor, view: View) -> Tensor:
    """Return the pixels (N, 2) of world points (N, 3), differentiable in both."""
    camera = points @ view.camera_from_world[:3, :3].T + view.camera_from_world[:3, 3]
    pixels = camera @ view.intrinsics.T
    return pixels[:, :2] / pixels[:, 2:].clamp(min=view.near)


def resize(one: Evidence, side: int) -> Evidence:
    """Return the evidence resized so that the longer side has at most `side` pixels; it is never enlarged."""
    view = one.view
    factor = min(1.0, side / max(view.height, view.width))
    height, width = max(1, round(view.height * factor)), max(1, round(view.width * factor))
    if (height, width) == (view.height, view.width):
        return one
    shrink = (height / view.height, width / view.width)
    intrinsics = scale_intrinsics(view.intrinsics, shrink[1], shrink[0]).to(view.intrinsics)
    landmarks = None if one.landmarks is None else one.landmarks * one.landmarks.new_tensor([shrink[1], shrink[0]])
    return Evidence(
        functional.interpolate(one.image[None], (height, width), mode="area")[0],
        functional.interpolate(one.mask[None, None], (height, width), mode="area")[0, 0],
        View(intrinsics, view.camera_from_world, height, width, view.projection, view.near),
        landmarks,
        one.landmark_weight,
    )

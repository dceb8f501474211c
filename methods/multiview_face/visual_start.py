"""Initialisation of a fit without an encoder: the template upright at the point where the rays through the masks meet."""

from collections.abc import Sequence

import torch
from torch import Tensor

from deep3dmap.core import UserError
from deep3dmap.geometry.template import Template
from deep3dmap.methods.multiview_face.fit_parameters import Start
from deep3dmap.methods.multiview_face.fitting import Evidence
from deep3dmap.metrics.silhouette import COVERAGE_THRESHOLD


def start_from_masks(evidence: Sequence[Evidence], template: Template) -> Start:
    """Return the template at rest, centred at the point nearest to the rays through the centres of the masks.

    Raises UserError unless two views see the subject from different places.
    """
    rays = [ray for ray in map(_mask_centre_ray, evidence) if ray is not None]
    if len(rays) < 2:
        raise UserError("a fit without an encoder needs two views whose masks are not empty")
    origins, directions = (torch.stack(parts) for parts in zip(*rays))
    across = torch.eye(3, dtype=torch.float64) - directions[:, :, None] * directions[:, None, :]
    matrix = across.sum(0)
    if float(torch.linalg.eigvalsh(matrix)[0]) < 1e-6:
        raise UserError("the views look along one line, so the subject's depth is undetermined; add a view from another side")
    nearest_point = torch.linalg.solve(matrix, (across @ origins[..., None])[..., 0].sum(0)).float()
    mean = template.mean()
    middle = (mean.amax(0) + mean.amin(0)) / 2
    return Start(torch.eye(3), nearest_point.to(middle) - middle, {})


def _mask_centre_ray(one: Evidence) -> tuple[Tensor, Tensor] | None:
    covered = (one.mask > COVERAGE_THRESHOLD).nonzero().double()
    if len(covered) == 0:
        return None
    low, high = covered.amin(0), covered.amax(0)
    v, u = ((low + high) / 2 + 0.5).tolist()
    inverse = torch.linalg.inv(one.view.intrinsics.double())
    world_from_camera = torch.linalg.inv(one.view.camera_from_world.double())
    direction = world_from_camera[:3, :3] @ (inverse @ torch.tensor([u, v, 1.0], dtype=torch.float64))
    return world_from_camera[:3, 3].cpu(), torch.nn.functional.normalize(direction, dim=0).cpu()

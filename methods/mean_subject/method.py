"""The mean of the training subjects, upright where the masks meet: the score of a method that fits nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from deep3dmap.core import Mesh, Method, MethodCard, Reconstruction, Step, UserError
from deep3dmap.core.options import option
from deep3dmap.frameworks import TrainLoop
from deep3dmap.frameworks.inputs import select
from deep3dmap.methods.mean_subject.standing_point import place


@dataclass
class MeanSubjectConfig:
    """Number of subjects to average."""

    subjects: int = option(0, "maximum number of training subjects to average; 0 averages all", low=0, valid="[0, inf)")


class MeanSubject(Method):
    """The mean mesh of subjects with the same topology, each in the frame of its template."""

    card = MethodCard(
        title="Mean subject",
        authors="deep3dmap",
        year=2025,
        paper="",
        tasks=("body", "body_single_view"),
        consumes=("masks", "intrinsics", "world_from_camera"),
        produces=("mesh",),
        trains_on=("mesh", "vertices", "world_from_template"),
        licence="Apache-2.0",
        frame="world",
        gauge="metric",
        is_baseline=True,
        tried_on=("bodies",),
    )
    config_type = MeanSubjectConfig

    def __init__(self, config: MeanSubjectConfig) -> None:
        self.config = config
        self.mean: Mesh | None = None

    def train_steps(self, loop: TrainLoop) -> Iterator[Step]:
        """Average the training split in one pass, which is a single step; a resumed run has already done it."""
        if loop.step:
            return
        count = min(self.config.subjects, len(loop.dataset)) if self.config.subjects else len(loop.dataset)
        total, faces = np.zeros((0, 3)), np.zeros((0, 3), np.int64)
        for index in range(count):
            sample = select(loop.dataset[index], self.card.trains_on, loop.settings.inputs)
            vertices = _undo_pose(sample["vertices"], sample["world_from_template"])
            if index == 0:
                total, faces = np.zeros_like(vertices), sample["mesh"].faces
            if vertices.shape != total.shape or not np.array_equal(sample["mesh"].faces, faces):
                raise UserError(f"training subject {index} differs in topology from the first, so they have no mean mesh")
            total += vertices
        self.mean = Mesh(total / count, faces)
        yield Step(loss=0.0)

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Place the mean where the masks meet, in the world of the cameras, metres. Raises UserError before training."""
        if self.mean is None:
            raise UserError("mean_subject has no mean yet: train it, which is one pass over the training split")
        vertices = self.mean.vertices.astype(np.float64)
        vertices = vertices - (vertices.min(0) + vertices.max(0)) / 2
        where = place(vertices, given["masks"], given["intrinsics"], given["world_from_camera"])
        return Reconstruction("world", "metre", mesh=Mesh(vertices + where, self.mean.faces))

    def state_dict(self) -> dict[str, Any]:
        """Return the mean mesh, if there is one."""
        if self.mean is None:
            return {}
        return {"vertices": torch.from_numpy(self.mean.vertices), "faces": torch.from_numpy(self.mean.faces)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the mean mesh."""
        self.mean = Mesh(state["vertices"].cpu().numpy(), state["faces"].cpu().numpy()) if "vertices" in state else None


def _undo_pose(vertices: Any, world_from_template: Any) -> np.ndarray:
    pose = np.asarray(world_from_template, np.float64)
    return (np.asarray(vertices, np.float64) - pose[:3, 3]) @ pose[:3, :3]

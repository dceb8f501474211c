"""Random shape, pose, position and light of a procedural body, all drawn from one seed."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from deep3dmap.data.scenes.body_clothes import Clothes, sample_clothes
from deep3dmap.data.scenes.head_subject import distant_light, irradiance, truncated_normal
from deep3dmap.data.scenes.procedural_body import BETAS
from deep3dmap.geometry.body_model import JOINTS, BodyTemplate
from deep3dmap.geometry.joint_limits import pose_limits, pose_sigma

Array = NDArray[np.float64]
_CLEAR = 0.15  # smallest distance in metres between the trunk's axis and arms or hands


@dataclass(frozen=True)
class Body:
    """Body parameters.

    betas: (10,) standard deviations. body_pose: (63,), global_orient: (3,) radians. translation: (3,) metres, feet at y = 0.
    """

    betas: Array
    body_pose: Array
    global_orient: Array
    translation: Array

    def parameters(self) -> dict[str, torch.Tensor]:
        """Return the template's parameters as a batch of one."""
        names = ("betas", "body_pose", "global_orient", "translation")
        return {name: torch.from_numpy(getattr(self, name))[None] for name in names}


def sample_person(rng: np.random.Generator) -> tuple[Array, Clothes]:
    """Draw the attributes shared by all recordings of a person: betas (10,) and clothes."""
    return truncated_normal(rng, len(BETAS)), sample_clothes(rng)


def sample_body(rng: np.random.Generator, template: BodyTemplate, betas: Array) -> Body:
    """Draw a pose within the joint limits in which no arm intersects the trunk, and place the body on the floor."""
    body = _sample_posed(rng, betas)
    while not _is_clear(template.joints(body.parameters())[0].numpy()):
        body = _sample_posed(rng, betas)
    lowest = template.vertices(body.parameters())[0, :, 1].min().item()
    place = np.array([rng.uniform(-0.15, 0.15), -lowest, rng.uniform(-0.15, 0.15)])
    return replace(body, translation=place)


def _sample_posed(rng: np.random.Generator, betas: Array) -> Body:
    orient = np.array([rng.normal(0, 0.05), rng.uniform(-np.pi, np.pi), rng.normal(0, 0.05)])
    return Body(betas, _sample_pose(rng), orient, np.zeros(3))


def _sample_pose(rng: np.random.Generator) -> Array:
    like = torch.zeros(1, dtype=torch.float64)
    (low, high), sigma = pose_limits(like), pose_sigma(like)
    pose = rng.normal(0, 0.45, len(sigma)) * sigma.numpy()
    # Hanging arms, bent elbows and knees, and swinging legs are more frequent than a Gaussian around the T-pose would give.
    for side, sign in (("left", 1), ("right", -1)):
        pose[_at(f"{side}_shoulder", 2)] += -sign * rng.choice([rng.uniform(0.7, 1.25), rng.uniform(-0.6, 0.7)], p=[0.7, 0.3])
        pose[_at(f"{side}_elbow", 1)] = -sign * rng.uniform(0, 1) ** 2 * 2.0
        swing = abs(rng.normal(0, 0.35))
        pose[_at(f"{side}_hip", 0)] = -swing + rng.normal(0, 0.1)
        pose[_at(f"{side}_knee", 0)] = abs(swing + rng.normal(0, 0.25))
    return np.clip(pose, low.numpy(), high.numpy())


def _at(joint: str, axis: int) -> int:
    return 3 * (JOINTS.index(joint) - 1) + axis


def _is_clear(joints: Array) -> bool:
    trunk = np.linspace(joints[JOINTS.index("pelvis")], joints[JOINTS.index("neck")], 8)
    arms = [joints[JOINTS.index(name)] for name in ("left_elbow", "right_elbow", "left_wrist", "right_wrist")]
    hands = [1.3 * arms[k + 2] - 0.3 * arms[k] for k in range(2)]
    away = np.linalg.norm(np.array([*arms, *hands])[:, None] - trunk, axis=2).min()
    between = np.linalg.norm(joints[JOINTS.index("left_ankle")] - joints[JOINTS.index("right_ankle")])
    knees = np.linalg.norm(joints[JOINTS.index("left_knee")] - joints[JOINTS.index("right_knee")])
    return bool(away > _CLEAR and between > 0.10 and knees > 0.12)


def sample_light(rng: np.random.Generator) -> Array:
    """Draw (10, 3) coefficients of `irradiance`: ambient light and two lamps, exposed at random but with no side black."""
    light = np.zeros((10, 3))
    light[0] = rng.uniform(0.5, 0.9) * _tint(rng)
    for strength in (rng.uniform(0.3, 1.0), rng.uniform(0, 0.5)):
        around, up = rng.uniform(-np.pi, np.pi), rng.uniform(0.1, 1.3)
        direction = np.array([np.sin(around) * np.cos(up), np.sin(up), np.cos(around) * np.cos(up)])
        light += distant_light(direction)[:, None] * strength * _tint(rng)
    sides = np.array([[1, 0, 0], [-1, 0, 0], [0, 0, 1], [0, 0, -1], [0, 1, 0]], float)
    return light * (rng.uniform(0.7, 1.1) / irradiance(sides, light).mean())


def _tint(rng: np.random.Generator) -> Array:
    warmth = rng.uniform(-0.12, 0.12)
    return np.array([1 + warmth, 1.0, 1 - warmth])

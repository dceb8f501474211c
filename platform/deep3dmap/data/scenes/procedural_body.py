"""The procedural body as a model with shape coefficients and a skeleton, generated without data of real people.

It has the interface of SMPL but is not SMPL: results on it do not compare with published benchmarks.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from deep3dmap.data.scenes.body_shape import BONES, axis_offset, body_surface, bone_distances, rest_joints
from deep3dmap.data.scenes.head_layout import smoothstep
from deep3dmap.geometry.body_model import JOINTS, PARENTS, BodyModel

Array = NDArray[np.float64]
BETAS = ("height", "weight", "legs", "torso", "arms", "shoulders", "hips", "belly", "chest", "head")
_SOFTNESS = 0.016  # transition length of skinning weights between bones in metres
_RING = 60  # number of vertices from which a joint is regressed


@cache
def body_model() -> BodyModel:
    """Build the body: about 7,500 vertices, 22 joints named as in SMPL-X, ten shape coefficients. Deterministic."""
    vertices, faces = body_surface()
    weights = _weights(vertices)
    return BodyModel(
        rest=vertices.astype(np.float32),
        faces=faces,
        shape_basis=_shape_basis(vertices).astype(np.float32),
        joint_regressor=_joint_regressor(vertices, rest_joints(JOINTS)).astype(np.float32),
        weights=weights.astype(np.float32),
        parents=np.array(PARENTS, np.int64),
    )


def _weights(vertices: Array) -> Array:
    distances = bone_distances(vertices)
    of_joint = np.stack([distances[:, [bone.joint == name for bone in BONES]].min(1, initial=np.inf) for name in JOINTS], 1)
    pull = np.exp(-(of_joint - of_joint.min(1, keepdims=True)) / _SOFTNESS)
    # Keep the four strongest bones per vertex, as in SMPL.
    weakest = np.sort(pull, 1)[:, -4:-3]
    pull[pull < weakest] = 0
    return pull / pull.sum(1, keepdims=True)


def _joint_regressor(vertices: Array, joints: Array) -> Array:
    # Weights of the nearest vertices that reproduce the joint as a weighted mean and are closest to uniform.
    regressor = np.zeros((len(joints), len(vertices)))
    for row, joint in zip(regressor, joints):
        near = np.argsort(((vertices - joint) ** 2).sum(1), kind="stable")[:_RING]
        conditions = np.concatenate([np.ones((1, _RING)), (vertices[near] - joint).T * 10])
        even = np.full(_RING, 1 / _RING)
        row[near] = even + np.linalg.pinv(conditions) @ (np.array([1, 0, 0, 0]) - conditions @ even)
    return regressor


def _shape_basis(vertices: Array) -> Array:
    # (V, 3, 10) metres per sigma. All fields are smooth in space, so joints move with the surrounding skin.
    x, y, z = vertices.T
    zero, side = np.zeros_like(x), np.tanh(x / 0.05)
    out = axis_offset(vertices)
    on_arm = smoothstep(np.abs(x), 0.16, 0.24)
    head = smoothstep(y, 1.44, 1.56) * (1 - on_arm)
    trunk = smoothstep(y, 0.80, 0.95) * (1 - smoothstep(y, 1.38, 1.48)) * (1 - on_arm)
    reach = np.maximum(np.abs(x) - 0.17, 0) / 0.52 * smoothstep(y, 1.2, 1.3)
    waist = np.exp(-(((y - 1.08) / 0.13) ** 2)) * trunk
    breast = np.exp(-(((y - 1.30) / 0.09) ** 2)) * trunk * smoothstep(z, 0.0, 0.08)
    hip = np.exp(-(((y - 0.89) / 0.10) ** 2)) * (1 - on_arm)
    fields = {
        "height": 0.036 * vertices,
        "weight": 0.115 * out * (1 - 0.75 * head)[:, None],
        "legs": np.stack([zero, 0.024 * np.minimum(y / 0.885, 1), zero], 1),
        "torso": np.stack([zero, 0.016 * smoothstep(y, 0.90, 1.42), zero], 1),
        "arms": np.stack([0.020 * np.sign(x) * reach, zero, zero], 1),
        "shoulders": np.stack([0.011 * side * smoothstep(y, 1.12, 1.36) * (1 - head), zero, zero], 1),
        "hips": np.stack([0.011 * side * hip * smoothstep(np.abs(x), 0.04, 0.14), zero, 0.004 * hip * np.tanh(z / 0.05)], 1),
        "belly": np.stack([0.008 * side * waist, zero, 0.022 * waist * smoothstep(z, -0.02, 0.09)], 1),
        "chest": np.stack([zero, zero, 0.014 * breast], 1),
        "head": 0.030 * head[:, None] * (vertices - (0, 1.50, 0)),
    }
    return np.stack([fields[name] for name in BETAS], 2)

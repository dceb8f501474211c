"""Random subject, head pose and light of a synthetic face image, all drawn from one seed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deep3dmap.data.scenes.head_modes import EXPRESSIONS
from deep3dmap.geometry.face_pose import HeadPose, rotation_of_angles
from deep3dmap.geometry.morphable_model import MorphableModel

Array = NDArray[np.float64]
MAX_SIGMA = 2.5


@dataclass(frozen=True)
class Hair:
    """Hair: `thickness` in millimetres (0 = bald), `length` of the long hair at the sides and back (0 = short hair)."""

    thickness: float
    length: float
    bald: bool


@dataclass(frozen=True)
class HeadSubject:
    """The subject of one image.

    identity, expression, albedo: coefficients in units of sigma. gaze: (2,) shift of the irises to the right and up in
    millimetres. angles: (3,) pitch, yaw, roll in radians. light: (10, 3) coefficients of `irradiance`. cloth: (3,) linear RGB.
    """

    identity: Array
    expression: Array
    albedo: Array
    gaze: tuple[float, float]
    angles: Array
    light: Array
    hair: Hair
    cloth: Array
    glasses: bool
    gloss: float


def sample_subject(rng: np.random.Generator, model: MorphableModel, most_yaw: float) -> HeadSubject:
    """Draw a subject; yaw is uniform within +-`most_yaw` degrees, pitch within 25, roll within 20."""
    limits = np.radians([25.0, most_yaw, 20.0])
    hair = _sample_hair(rng)
    return HeadSubject(
        identity=truncated_normal(rng, len(model.identity_sigma)),
        expression=_sample_expression(rng),
        albedo=_sample_albedo(rng, len(model.albedo_sigma), hair.bald),
        gaze=(float(np.clip(rng.normal(0, 1.6), -4, 4)), float(np.clip(rng.normal(0, 0.7), -1.5, 1.5))),
        angles=rng.uniform(-limits, limits),
        light=_sample_light(rng),
        hair=hair,
        cloth=rng.uniform(0.02, 0.7) * rng.uniform(0.3, 1, 3),
        glasses=bool(rng.random() < 0.12),
        gloss=float(rng.uniform(0.0, 0.25)),
    )


def truncated_normal(rng: np.random.Generator, count: int) -> Array:
    """Return (count,) samples of a standard normal distribution truncated to [-2.5, 2.5]."""
    values = rng.normal(size=count)
    while (far := np.abs(values) > MAX_SIGMA).any():
        values[far] = rng.normal(size=far.sum())
    return values


def _sample_expression(rng: np.random.Generator) -> Array:
    # Two to four expressions are active; open mouths, smiles and closed eyes are more frequent than the rest.
    values = np.zeros(len(EXPRESSIONS))
    active = rng.choice(len(EXPRESSIONS), rng.integers(2, 5), replace=False)
    values[active] = rng.uniform(-0.2, 1, len(active))
    index = {name: k for k, name in enumerate(EXPRESSIONS)}
    if rng.random() < 0.35:
        smile = rng.uniform(0.2, 1)
        values[[index["smile_left"], index["smile_right"]]] = smile * rng.uniform(0.85, 1, 2)
        values[index["mouth_wide"]] = smile * rng.uniform(0, 0.8)
    if rng.random() < 0.4:
        values[index["jaw_open"]] = rng.uniform(0, 1) ** 1.5
    if rng.random() < 0.12:
        values[[index["eye_close_left"], index["eye_close_right"]]] = rng.uniform(0.5, 1)
    return values


def _sample_albedo(rng: np.random.Generator, count: int, bald: bool) -> Array:
    values = truncated_normal(rng, count)
    dark = rng.uniform(-1.5, 1.9)
    values[0] = dark
    values[2] *= 0.5 if dark < 0.6 else 0.15
    values[1] = rng.normal(0, 0.8)
    hair = rng.choice([rng.uniform(-0.5, 0.1), rng.uniform(0, 1.2), rng.uniform(1.5, 4.0)], p=[0.6, 0.28, 0.12])
    if dark > 0.6:
        hair = rng.uniform(-0.55, -0.1)
    values[4] = 0.25 * hair + rng.uniform(-0.3, 0.6) if dark < 0.6 else rng.uniform(-0.7, -0.3)
    values[5] = rng.choice([0.0, rng.uniform(0.2, 1.0), rng.uniform(1.0, 2.3)], p=[0.55, 0.25, 0.2])
    values[7], values[8] = hair, rng.uniform(0, 0.4) + 1.3 * (rng.random() < 0.07)
    light_eyes = rng.random() < (0.5 if dark < 0 else 0.08)
    values[9], values[10] = (rng.uniform(0.5, 2.2), rng.uniform(0.4, 2.0)) if light_eyes else (rng.uniform(-1.5, 0.4), 0.0)
    return values


def _sample_hair(rng: np.random.Generator) -> Hair:
    kind = rng.random()
    if kind < 0.10:
        return Hair(0.0, 0.0, True)
    if kind < 0.62:
        return Hair(float(rng.uniform(3, 16)), 0.0, False)
    return Hair(float(rng.uniform(8, 20)), float(rng.uniform(40, 220)), False)


def _sample_light(rng: np.random.Generator) -> Array:
    light = np.zeros((10, 3))
    light[0] = rng.uniform(0.25, 0.9) * _tint(rng, 0.12)
    light[2] += rng.uniform(0, 0.2) * _tint(rng, 0.15)
    for strength in (rng.uniform(0.2, 1.5), rng.uniform(0, 0.5)):
        around, up = rng.uniform(-1.5, 1.5), rng.uniform(-0.35, 1.2)
        direction = np.array([np.sin(around) * np.cos(up), np.sin(up), np.cos(around) * np.cos(up)])
        light += distant_light(direction)[:, None] * strength * _tint(rng, 0.18)
    return light


def _tint(rng: np.random.Generator, spread: float) -> Array:
    warmth = rng.uniform(-spread, spread)
    return np.array([1 + warmth, 1.0, 1 - warmth])


def distant_light(direction: Array) -> Array:
    """Return (10,) coefficients of a distant light of unit strength, whose clamped cosine is expanded to SH band two.

    max(0, c) is approximately 1/4 + c/2 + 5/32 (3 c^2 - 1), see Ramamoorthi and Hanrahan, SIGGRAPH 2001.
    """
    x, y, z = direction
    quadratic = 15 / 32 * np.array([x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z])
    return np.concatenate([[1 / 4 - 5 / 32, x / 2, y / 2, z / 2], quadratic])


def irradiance(normals: Array, light: Array) -> Array:
    """Return the (V, 3) irradiance of (V, 3) unit normals from (10, 3) constant, linear and quadratic coefficients."""
    x, y, z = normals.T
    terms = np.stack([np.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], 1)
    return (terms @ light).clip(0.02, None)


def place(
    subject: HeadSubject, landmarks: Array, image_size: int, rng: np.random.Generator, share: tuple[float, float]
) -> HeadPose:
    """Draw scale and translation so that the landmarks' box takes a fraction in `share` of the image, just below its centre."""
    rotation = rotation_of_angles(subject.angles)
    flat = landmarks @ rotation.T
    low, high = flat[:, :2].min(0), flat[:, :2].max(0)
    scale = rng.uniform(*share) * image_size / (high - low).mean()
    middle = np.array([rng.normal(0.505, 0.05), 1 - rng.normal(0.585, 0.03)]) * image_size
    shift = middle - scale * (low + high) / 2
    return HeadPose(subject.angles, np.array([shift[0], shift[1], 0.0]), float(scale))

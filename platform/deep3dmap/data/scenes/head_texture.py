"""Texture of a subject: the model's albedo at texel resolution with hair, pores, eyes, teeth and glasses."""

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from deep3dmap.data.scenes import head_albedo
from deep3dmap.data.scenes.head_layout import Array, smoothstep
from deep3dmap.data.scenes.head_model import ALBEDOS
from deep3dmap.data.scenes.head_modes import EXPRESSIONS
from deep3dmap.data.scenes.head_shape import EYE, MOUTH_LINE, surface_at
from deep3dmap.data.scenes.head_subject import HeadSubject
from deep3dmap.render.textures import sample_texture

TEETH = np.array([0.62, 0.58, 0.50])
DARKEST = np.array([0.020, 0.013, 0.010])
FRAMES = np.array([0.02, 0.018, 0.02])


def color_at(texture: NDArray[np.float32], places: Tensor) -> Tensor:
    """Return the colours (3, 1, N) of a texture (3, S, S) at atlas coordinates (2, 1, N)."""
    return sample_texture(torch.from_numpy(texture), places[:, 0].T, "points").T[:, None]


class HeadTexture:
    """Paints textures of a fixed size; everything shared by all subjects is computed once."""

    def __init__(self, size: int, seed: int) -> None:
        u, v = np.meshgrid(np.linspace(0, 1, size), np.linspace(1, 0, size))
        self._surface = surface_at(np.stack([u, v], -1))
        self._parts = head_albedo.parts(self._surface)
        modes, _ = head_albedo.albedo_modes(self._surface, self._parts, np.random.default_rng([seed, 2]), ALBEDOS)
        self._mean = head_albedo.mean_albedo(self._surface, self._parts).astype(np.float32)
        self._modes = modes.reshape(-1, ALBEDOS).astype(np.float32)
        self._fine, self._strands = _noise_tiles(size)
        self._eyes = np.nonzero(self._parts.eyes > 0)
        surface = self._surface
        flat = {name: getattr(surface, name)[self._eyes] for name in ("x", "y", "angle", "front")}
        self._eye_surface = type(surface)(**flat, points=surface.points[self._eyes])
        self._upper_teeth = _teeth_band(surface.x, surface.y, 0.10, 0.55)
        self._glasses = _glasses(surface.x, surface.y, surface.angle)

    def paint(self, subject: HeadSubject, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return the (3, S, S) linear RGB texture of a subject."""
        texture = self._mean + (self._modes @ subject.albedo.astype(np.float32)).reshape(self._mean.shape)
        texture = texture.clip(DARKEST, 1)
        if subject.hair.bald:
            texture = self._remove_hair(texture)
        texture = texture * self._grain(subject, rng)[..., None]
        self._paint_eyes(texture, subject)
        self._paint_teeth(texture, subject)
        if subject.glasses:
            texture = texture + self._glasses[..., None] * (FRAMES - texture)
        return np.ascontiguousarray(texture.clip(0, 1).transpose(2, 0, 1), np.float32)

    def _remove_hair(self, texture: NDArray[Any]) -> NDArray[Any]:
        size = len(texture)
        skin = texture[int(0.12 * size) : int(0.2 * size), int(0.4 * size) : int(0.6 * size)].mean((0, 1))
        return texture + smoothstep(self._parts.hair, 0, 0.12)[..., None] * (skin - texture)

    def _grain(self, subject: HeadSubject, rng: np.random.Generator) -> Array:
        parts = self._parts
        fine = np.roll(self._fine, tuple(rng.integers(0, len(self._fine), 2)), (0, 1))
        strands = np.roll(self._strands, tuple(rng.integers(0, len(self._fine), 2)), (0, 1))
        stubble = parts.beard * min(1.0, 0.35 * max(0.0, subject.albedo[5]))
        hairy = np.maximum(0.0 if subject.hair.bald else parts.hair, np.maximum(0.8 * parts.brows, 0.5 * stubble))
        skin = parts.skin * rng.uniform(0.015, 0.045)
        return np.maximum(0.2, 1 + skin * fine + 0.32 * hairy * strands)

    def _paint_eyes(self, texture: Array, subject: HeadSubject) -> None:
        light_eyes = subject.albedo[9] * np.array([0.05, 0.06, 0.06]) + subject.albedo[10] * np.array([-0.05, 0.02, 0.09])
        iris = (head_albedo.IRIS + light_eyes).clip(0.012, 0.6)
        eyes = head_albedo.eye_color(self._eye_surface, subject.gaze, iris)
        mask = self._parts.eyes[self._eyes][:, None] * (1 - self._parts.lashes[self._eyes][:, None])
        texture[self._eyes] += mask * (eyes - texture[self._eyes])

    def _paint_teeth(self, texture: Array, subject: HeadSubject) -> None:
        opened = smoothstep(np.array(subject.expression[EXPRESSIONS.index("jaw_open")]), 0.05, 0.3)
        texture += (opened * self._upper_teeth)[..., None] * (TEETH - texture)


@cache
def head_texture(size: int, seed: int = 0) -> HeadTexture:
    """Return the painter of textures with `size` texels per side for the head model of `seed`, built once."""
    return HeadTexture(size, seed)


@cache
def _noise_tiles(size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(20)
    scale = size / 256
    layers = [gaussian_filter(rng.normal(size=(size, size)), sigma * scale, mode="wrap") for sigma in (0.8, 2.5, 8)]
    fine = sum(layer / layer.std() for layer in layers) / 1.7
    strands = gaussian_filter(rng.normal(size=(size, size)), (7 * scale, 0.8 * scale), mode="wrap")
    return fine.astype(np.float32), (strands / strands.std()).astype(np.float32)


def _teeth_band(x: Array, y: Array, low: float, high: float) -> Array:
    # A band between the lips that is very thin until the jaw opens.
    off = y - MOUTH_LINE
    return smoothstep(off, low, low + 0.12) * (1 - smoothstep(off, high, high + 0.12)) * (1 - smoothstep(np.abs(x), 17, 20))


def _glasses(x: Array, y: Array, angle: Array) -> Array:
    across = (np.abs(x) - EYE[0] - 0.5) / 23.0
    radius = (np.abs(across) ** 2.8 + np.abs((y + 2) / 18.0) ** 2.8) ** (1 / 2.8)
    rims = np.exp(-(((radius - 1) / 0.085) ** 4))
    bridge = np.exp(-(((y - 4) / 1.6) ** 4)) * (np.abs(x) < 10)
    temples = np.exp(-(((y - 6) / 1.8) ** 4)) * (np.abs(x) > 53) * (np.abs(angle) < 92)
    return np.maximum(np.maximum(rims, bridge) * (np.abs(angle) < 75), temples)

"""Reconstructs and scores the test samples of a run. A method is handed the keys it consumes and nothing else."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from deep3dmap.core.dataset import Split
from deep3dmap.core.method import Method
from deep3dmap.core.protocol import Protocol
from deep3dmap.core.reconstruction import Reconstruction
from deep3dmap.frameworks import CustomFramework
from deep3dmap.frameworks.inputs import select

PICTURED_SCENES = 8


@dataclass
class Scores:
    """per_scene: {scene: {metric: value}}. summary: metrics that are not scene means. Seconds are totals over the scenes."""

    per_scene: dict[str, dict[str, float]] = field(default_factory=dict)
    summary: dict[str, float] = field(default_factory=dict)
    reconstruct_s: float = 0.0
    evaluate_s: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)


def score(
    method: Method,
    split: Split,
    protocol: Protocol,
    mapping: dict[str, str],
    folder: Path,
    scenes: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Reconstruct, keep, evaluate and picture up to `scenes` samples (0 = all); pictures of the first few are made."""
    if isinstance(method, CustomFramework):
        torch.nn.Module.train(method, False)
    scores = Scores()
    count = min(scenes, len(split)) if scenes else len(split)
    for index in range(count):
        sample, name = split[index], split.name(index)
        began = time.perf_counter()
        with torch.no_grad():
            reconstruction = method.reconstruct(select(protocol.offered(sample), method.card.consumes, mapping))
        scores.reconstruct_s += time.perf_counter() - began
        began = time.perf_counter()
        scores.per_scene[name] = dict(protocol.evaluate(reconstruction, sample))
        scores.evaluate_s += time.perf_counter() - began
        scores.notes.update(reconstruction.notes)
        _keep(reconstruction, protocol, sample, folder / _folder_name(name), pictured=index < PICTURED_SCENES)
        if progress:
            progress(index + 1, count)
    scores.summary = dict(protocol.summarise(scores.per_scene))
    return scores


def _keep(reconstruction: Reconstruction, protocol: Protocol, sample: dict[str, Any], folder: Path, pictured: bool) -> None:
    reconstruction.save(folder)
    if pictured:
        protocol.pictures(reconstruction, sample, folder)


def _folder_name(scene: str) -> str:
    return scene.replace("/", "_").replace("\\", "_")

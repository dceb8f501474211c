"""Scores of a single scene from a new evaluation."""

from typing import Any

from deep3dmap.core import Protocol, Reconstruction


def scores_of(protocol: Protocol, reconstruction: Reconstruction, truth: dict[str, Any]) -> dict[str, float]:
    return dict(protocol.begin().add("scene", reconstruction, None, truth))

"""Which way a subject faces, where outlines alone hardly tell: short fits from several turns, of which the best one goes on.

A person's outline from behind is nearly that from the front, and no gradient leads from one to the other.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from deep3dmap.geometry.template import Template
from deep3dmap.methods.multiview_face.fitting import Evidence, Stage, energy, fit, resize
from deep3dmap.methods.multiview_face.subject import Start, Subject
from deep3dmap.render.soft import SoftRenderer


def best_turn(template: Template, start: Start, evidence: Sequence[Evidence], stages: Sequence[Stage], turns: int) -> Start:
    """Return `start` turned about the subject's upright axis by one of `turns` even angles, the one whose fit explains most.

    Every turn is fitted by the schedule's first two stages with the steps shared out among the turns, and judged by its
    energy in the second one, over all views.
    """
    if turns == 1 or len(stages) < 2:
        return start
    short = [replace(stage, steps=max(1, stage.steps // turns)) for stage in stages[:2]]
    found = []
    for turn in range(turns):
        turned = _turned(start, 2 * math.pi * turn / turns)
        subject = Subject(template, turned).to(start.rotation.device)
        for _ in fit(subject, evidence, short, len(evidence), seed=0):
            pass
        found.append((_left_over(subject, evidence, short[1]), turn, turned))
    return min(found, key=lambda one: one[:2])[2]


def _turned(start: Start, angle: float) -> Start:
    cosine, sine = math.cos(angle), math.sin(angle)
    about_y = torch.tensor([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]).to(start.rotation)
    return replace(start, rotation=start.rotation @ about_y)


def _left_over(subject: Subject, evidence: Sequence[Evidence], stage: Stage) -> float:
    renderer = SoftRenderer(sigma=stage.sigma, gamma=1e-4, shading="gouraud")
    with torch.no_grad():
        terms: dict[str, Tensor] = energy(subject, [resize(one, stage.side) for one in evidence], renderer, stage.weights)
    return float(sum(terms.values()))

"""The scale of a relief, which shading and small turns of an object leave open.

Under unknown lights, a relief and the same relief scaled in depth, plus a plane, give the same pictures (Belhumeur, Kriegman
and Yuille, "The Bas-Relief Ambiguity", IJCV 1999). The ellipsoid prior decides between them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ReliefScale:
    """The scale of a prior.

    inside: (S, S) bool, where the prior has a relief, at P pixels. planes: (P, 3), an orthonormal basis of planes. scale:
    scalar, the logarithm of the standard deviation of the prior without its plane.
    """

    inside: Tensor
    planes: Tensor
    scale: Tensor

    @classmethod
    def of(cls, prior: Tensor) -> "ReliefScale":
        """Return the scale of a prior (S, S), whose largest depth is that of the background."""
        inside = prior < prior.max() - 1e-5
        rows, columns = inside.nonzero().to(prior).unbind(1)
        planes = torch.linalg.qr(torch.stack([torch.ones_like(rows), rows, columns], 1))[0]
        return cls(inside, planes, _log_scale(prior[inside], planes))

    def error(self, depth: Tensor) -> Tensor:
        """Return the squared log ratio of the standard deviations of a depth map (S, S) and the prior, without their planes."""
        return (_log_scale(depth[self.inside], self.planes) - self.scale).square()


def _log_scale(depth: Tensor, planes: Tensor) -> Tensor:
    return (depth - planes @ (planes.T @ depth)).square().mean().log() / 2

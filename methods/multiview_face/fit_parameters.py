"""The parameters optimised in a fit of one subject: pose, shape, colours and lighting."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deep3dmap.geometry.mesh_topology import MeshTopology
from deep3dmap.geometry.template import Template
from deep3dmap.methods.multiview_face.encoder import rotation_from_6d
from deep3dmap.render.renderer import Lights, Surface

GREY = 0.6
# sqrt(4 pi) / 2 of uniform irradiance, for which white is rendered as white.
EVEN_LIGHT = 1.0


@dataclass(frozen=True)
class Start:
    """Initial state of a fit. rotation: (3, 3). translation: (3,) metres. parameters: {group: (n,)}. light: (9, 3) or None."""

    rotation: Tensor
    translation: Tensor
    parameters: dict[str, Tensor]
    light: Tensor | None = None


class FitParameters(nn.Module):
    """All parameters that a fit may optimise; `free(names)` returns those of a stage.

    pose: 6D rotation, translation and log scale. The template's groups. offsets: (N, 3) metres added to the template, in the
    subject's frame. tint: (N, 3) added to the template's albedo. light: (9, 3) harmonics of the world normal. Colours are
    linear. size: largest extent of the template at rest, in metres. begun: whether the parameters were initialised or fitted.
    """

    begun: Tensor

    def __init__(self, template: Template) -> None:
        super().__init__()
        # Kept in a list so that it is not registered as a submodule: its buffers belong to the method.
        self._template = [template]
        self.rotation = nn.Parameter(torch.eye(3)[:, :2].T.reshape(6).clone())
        self.translation = nn.Parameter(torch.zeros(3))
        self.log_scale = nn.Parameter(torch.zeros(1))
        # The template of a free mesh has a group named "offsets", which is replaced by the offsets of this class.
        groups = {name: size for name, size in template.groups.items() if name != "offsets"}
        self.coefficients = nn.ParameterDict({name: nn.Parameter(torch.zeros(size)) for name, size in groups.items()})
        mean = template.mean()
        count, self.size = len(mean), float((mean.amax(0) - mean.amin(0)).max())
        self.topology = MeshTopology.of(template.faces, count)
        self.offsets = nn.Parameter(torch.zeros(count, 3))
        self.tint = nn.Parameter(torch.zeros(count, 3))
        self.light = nn.Parameter(torch.zeros(9, 3))
        self.register_buffer("begun", torch.tensor(False))

    def _apply(self, *args: Any, **kwargs: Any) -> "FitParameters":
        """Also move the topology, which is not a tensor of this module."""
        super()._apply(*args, **kwargs)
        self.topology = self.topology.to(self.light.device)
        return self

    @property
    def template(self) -> Template:
        """The template being fitted."""
        return self._template[0]

    @torch.no_grad()
    def begin(self, start: Start) -> None:
        """Initialise all parameters."""
        for parameter in self.parameters():
            parameter.zero_()
        self.rotation.copy_(start.rotation[:, :2].T.reshape(6))
        self.translation.copy_(start.translation)
        for name, values in start.parameters.items():
            if name in self.coefficients:
                self.coefficients[name].copy_(values)
        if start.light is None:
            self.light[0] = EVEN_LIGHT
        else:
            self.light.copy_(start.light)
        self.begun.fill_(True)

    def free(self, names: tuple[str, ...]) -> list[nn.Parameter]:
        """Return the named parameters: pose, scale, light, offsets, tint, or a group of the template."""
        fixed = {
            "pose": [self.rotation, self.translation],
            "scale": [self.log_scale],
            "light": [self.light],
            "offsets": [self.offsets],
            "tint": [self.tint],
        }
        found: list[nn.Parameter] = []
        for name in names:
            if name in fixed:
                found += fixed[name]
            elif name in self.coefficients:
                found.append(self.coefficients[name])
        return found

    def parameters_of_template(self) -> dict[str, Tensor]:
        """Return {group: (1, n)}."""
        return {name: values[None] for name, values in self.coefficients.items()}

    def rest_vertices(self) -> Tensor:
        """Return (N, 3) vertices in the subject's frame, metres."""
        return self.template.vertices(self.parameters_of_template())[0] + self.offsets

    def vertices(self) -> Tensor:
        """Return (N, 3) vertices in the world, metres."""
        rotation = rotation_from_6d(self.rotation)
        return self.log_scale.exp() * self.rest_vertices() @ rotation.T + self.translation

    def albedo(self) -> Tensor:
        """Return (N, 3) RGB in [0, 1]."""
        base = self.template.albedo(self.parameters_of_template())
        grey = torch.full_like(self.tint, GREY) if base is None else base[0]
        return (grey + self.tint).clamp(0, 1)

    def surface(self) -> Surface:
        """Return the surface to render."""
        return Surface(self.vertices(), self.template.faces, colors=self.albedo())

    def lights(self) -> Lights:
        """Return the environment lighting."""
        return Lights(harmonics=self.light)

    def prior(self) -> Tensor:
        """Return sum((coefficient / sigma)^2) over all groups, a scalar."""
        if not len(self.coefficients):
            return self.translation.new_zeros(())
        return self.template.prior(self.parameters_of_template())[0]

    def report(self) -> dict[str, Any]:
        """Return the fitted values as plain data."""
        return {
            "scale": float(self.log_scale.detach().exp()),
            **{name: [round(float(v), 4) for v in values.detach()] for name, values in self.coefficients.items()},
        }

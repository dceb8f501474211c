"""Templates: meshes of fixed topology whose vertices are a function of parameters, a common interface for fitting methods.

Vertices are in metres, in the template's own right-handed frame. Parameters are named groups, one row per batch item; omitted
groups are zero, and rows shorter than the group are padded with zeros.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deep3dmap.core.mesh import Mesh
from deep3dmap.core.reconstruction import read_mesh
from deep3dmap.geometry.icosphere import icosphere
from deep3dmap.geometry.morphable_model import METRES, MorphableModel
from deep3dmap.geometry.obj_file import read_obj

Parameters = Mapping[str, Tensor]


class Template(nn.Module, ABC):
    """A mesh of V vertices, F faces and L landmarks with named parameter groups. Its arrays move with `.to(device)`.

    faces: (F, 3) int64, counter-clockwise from outside. uv: (Vt, 2) in [0, 1], v up, and faces_uv: (F, 3) into it, or both
    None. groups: size of each parameter group, always positive.
    """

    groups: dict[str, int]
    faces: Tensor
    uv: Tensor | None
    faces_uv: Tensor | None

    @abstractmethod
    def vertices(self, parameters: Parameters) -> Tensor:
        """Return vertices (B, V, 3) in metres, differentiable; raises ValueError for unknown groups and wrong sizes."""

    def albedo(self, parameters: Parameters) -> Tensor | None:
        """Return linear RGB (B, V, 3) in [0, 1], or None for a template without colour."""
        return None

    def landmarks(self, vertices: Tensor) -> Tensor | None:
        """Return landmarks (B, L, 3) for vertices (B, V, 3), or None for a template without landmarks."""
        return None

    def prior(self, parameters: Parameters) -> Tensor:
        """Return the sum (B,) of (coefficient / sigma)^2: twice the negative log-density of a Gaussian, up to a constant."""
        batch = self.batch_of(parameters)
        total = self.mean().new_zeros(batch)
        for name in parameters:
            total = total + ((self.padded(parameters, name, batch) / self.sigma(name)) ** 2).sum(1)
        return total

    def sigma(self, group: str) -> Tensor:
        """Return the standard deviations (n,) of a group's coefficients, in their unit; one by default."""
        return self.mean().new_ones(self.groups[group])

    def mean(self) -> Tensor:
        """Return vertices (V, 3) in metres with all parameters at zero."""
        return self.vertices({})[0]

    def neutral(self, batch: int = 1) -> dict[str, Tensor]:
        """Return all groups at zero, as initial parameters for a fit."""
        mean = self.mean()
        return {name: mean.new_zeros(batch, size) for name, size in self.groups.items()}

    def mesh(self, parameters: Parameters, item: int = 0) -> Mesh:
        """Return one batch item as a mesh of plain arrays, without gradients."""
        with torch.no_grad():
            colors = self.albedo(parameters)
            vertices = self.vertices(parameters)[item].cpu().numpy()
        return Mesh(vertices, self.faces.cpu().numpy(), None if colors is None else colors[item].cpu().numpy())

    def batch_of(self, parameters: Parameters) -> int:
        """Return the batch size, 1 if there are no parameters; raises ValueError if names or shapes do not match the groups."""
        sizes = set()
        for name, values in parameters.items():
            if name not in self.groups:
                raise ValueError(f"no parameter group '{name}'; available groups: {', '.join(self.groups)}")
            if values.dim() != 2 or values.shape[1] > self.groups[name]:
                raise ValueError(f"{name} must be (B, {self.groups[name]}) or narrower, got {tuple(values.shape)}")
            sizes.add(len(values))
        if len(sizes) > 1:
            raise ValueError(f"the groups have batches of different lengths: {sorted(sizes)}")
        return sizes.pop() if sizes else 1

    def padded(self, parameters: Parameters, group: str, batch: int) -> Tensor:
        """Return the values (batch, n) of a group, padded with zeros, with the type and device of the template."""
        like, size = self._like(), self.groups[group]
        values = parameters[group].to(like) if group in parameters else like.new_zeros(batch, 0)
        return values if values.shape[1] == size else nn.functional.pad(values, (0, size - values.shape[1]))

    def keep(self, name: str, array: Any) -> None:
        """Register an array as a non-persistent buffer: floats as float32, integers as int64."""
        tensor = torch.as_tensor(array)
        self.register_buffer(name, tensor.to(torch.float32 if tensor.is_floating_point() else torch.int64), persistent=False)

    def _like(self) -> Tensor:
        return next(buffer for buffer in self.buffers() if buffer.is_floating_point())


class HeadTemplate(Template):
    """A morphable head model. Frame: as in the model, x to the subject's left, y up, z out of the face, in metres.

    Groups: identity, expression and albedo, in units of sigma (V. Blanz and T. Vetter, SIGGRAPH 1999). 68 iBUG landmarks.
    """

    _mean: Tensor
    landmark_vertices: Tensor
    landmark_weights: Tensor
    mirror: Tensor

    def __init__(self, model: MorphableModel) -> None:
        super().__init__()
        self.model = model
        self.groups = {}
        scale = METRES[model.unit]
        self.keep("_mean", model.mean * scale)
        self.keep("_albedo_mean", model.albedo_mean)
        for group, unit in (("identity", scale), ("expression", scale), ("albedo", 1.0)):
            basis, sigma = getattr(model, f"{group}_basis"), getattr(model, f"{group}_sigma")
            if len(sigma):
                self.groups[group] = len(sigma)
                self.keep(f"_{group}_basis", (basis * (sigma * unit)).reshape(-1, len(sigma)).T.copy())
        self.keep("faces", model.faces)
        self.keep("uv", model.uv)
        self.keep("faces_uv", model.faces_uv)
        self.keep("landmark_vertices", model.landmark_vertices)
        self.keep("landmark_weights", model.landmark_weights)
        self.keep("mirror", model.mirror)
        self.regions = {name: torch.from_numpy(mask.copy()) for name, mask in model.regions.items()}

    def vertices(self, parameters: Parameters) -> Tensor:
        """Return vertices (B, V, 3) in metres: mean + identity + expression."""
        return self._sum("_mean", ("identity", "expression"), parameters)

    def albedo(self, parameters: Parameters) -> Tensor:
        """Return linear RGB (B, V, 3), clamped to [0, 1]."""
        return self._sum("_albedo_mean", ("albedo",), parameters).clamp(0, 1)

    def landmarks(self, vertices: Tensor) -> Tensor:
        """Return landmarks (B, 68, 3) in iBUG order, weighted means of triangle corners."""
        return (vertices[:, self.landmark_vertices] * self.landmark_weights.to(vertices)[..., None]).sum(2)

    def mean(self) -> Tensor:
        """Return the mean head (V, 3) in metres."""
        return self.get_buffer("_mean")

    def _sum(self, start: str, groups: tuple[str, ...], parameters: Parameters) -> Tensor:
        batch = self.batch_of(parameters)
        total = self.get_buffer(start).reshape(1, -1).expand(batch, -1)
        for group in groups:
            if group in self.groups and group in parameters:
                total = total + self.padded(parameters, group, batch) @ self.get_buffer(f"_{group}_basis")
        return total.reshape(batch, -1, 3)


class MeshTemplate(Template):
    """A mesh with free vertices. Group offsets: (B, V * 3) in metres, added to the vertices in the order x, y, z of each.

    vertices: (V, 3) metres. faces: (F, 3). uv, faces_uv: as in `Template`; faces_uv defaults to faces. colors: (V, 3).
    sigma: expected displacement of the vertices in metres; by default a tenth of the bounding box's diagonal. Raises ValueError
    for wrong shapes, no faces, and ids out of range.
    """

    def __init__(
        self, vertices: Any, faces: Any, *, uv: Any = None, faces_uv: Any = None, colors: Any = None, sigma: float | None = None
    ) -> None:
        super().__init__()
        self.keep("_mean", torch.as_tensor(vertices).float())
        self.keep("faces", faces)
        if self._mean.dim() != 2 or self._mean.shape[1] != 3 or self.faces.dim() != 2 or self.faces.shape[1] != 3:
            raise ValueError(f"vertices and faces must be (V, 3) and (F, 3), got {self._mean.shape} and {self.faces.shape}")
        if len(self.faces) == 0 or self.faces.min() < 0 or self.faces.max() >= len(self._mean):
            raise ValueError(f"faces must index the {len(self._mean)} vertices, and there must be at least one face")
        self.groups = {"offsets": self._mean.numel()}
        for name, value in (("uv", uv), ("faces_uv", faces_uv if faces_uv is not None or uv is None else faces)):
            if value is None:
                setattr(self, name, None)
            else:
                self.keep(name, value)
        if colors is not None:
            self.keep("_colors", torch.as_tensor(colors).float())
        box = self._mean.max(0).values - self._mean.min(0).values
        self._sigma = float(box.norm()) / 10 if sigma is None else sigma

    _mean: Tensor

    @classmethod
    def load(cls, file: Path, scale: float = 1.0) -> "MeshTemplate":
        """Read an OBJ, PLY or GLB file; vertices are multiplied by `scale` to get metres. Raises UserError if it has no mesh.

        Vertices and texture coordinates of an OBJ stay separate, so that seams of the atlas do not cut the mesh.
        """
        if file.suffix.lower() == ".obj":
            plain = read_obj(file)
            return cls(plain.vertices * scale, plain.faces, uv=plain.uv, faces_uv=plain.faces_uv)
        mesh = read_mesh(file)
        return cls(mesh.vertices * scale, mesh.faces, colors=mesh.colors)

    def vertices(self, parameters: Parameters) -> Tensor:
        """Return vertices (B, V, 3) in metres."""
        batch = self.batch_of(parameters)
        return self._mean + self.padded(parameters, "offsets", batch).reshape(batch, -1, 3)

    def albedo(self, parameters: Parameters) -> Tensor | None:
        """Return the mesh's colours (B, V, 3) unchanged, or None."""
        colors = getattr(self, "_colors", None)
        return None if colors is None else colors.expand(self.batch_of(parameters), -1, -1)

    def sigma(self, group: str) -> Tensor:
        """Return the standard deviation of the offsets, (V * 3,) metres."""
        return self._mean.new_full((self.groups[group],), self._sigma)

    def mean(self) -> Tensor:
        """Return the vertices of the original mesh, (V, 3) metres."""
        return self._mean


def sphere(level: int = 4, radius: float = 1.0) -> MeshTemplate:
    """Return an icosphere about the origin with 10 * 4^level + 2 free vertices and 20 * 4^level faces; radius in metres."""
    vertices, faces = icosphere(level)
    return MeshTemplate(vertices * radius, faces)

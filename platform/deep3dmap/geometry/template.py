"""Templates: meshes of a fixed topology whose vertices follow from parameters, so that one fitting method serves them all.

Vertices are in metres, in the template's own right-handed frame. Parameters are named groups of numbers, one row per item of
the batch; a group that is left out is zero, and a row shorter than its group leaves the rest at zero.
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
    """A mesh of V vertices, F faces and L landmarks with named groups of parameters. Its arrays move with `.to(device)`.

    faces: (F, 3) int64, counter-clockwise seen from outside. uv: (Vt, 2) in [0, 1], v up, and faces_uv: (F, 3) into it, or
    both None. groups: size of each parameter group; a group of size 0 does not occur.
    """

    groups: dict[str, int]
    faces: Tensor
    uv: Tensor | None
    faces_uv: Tensor | None

    @abstractmethod
    def vertices(self, parameters: Parameters) -> Tensor:
        """(B, V, 3) vertices in metres, differentiable; raises ValueError for unknown groups and wrong sizes."""

    def albedo(self, parameters: Parameters) -> Tensor | None:
        """(B, V, 3) linear RGB in [0, 1], or None for a template without colour."""
        return None

    def landmarks(self, vertices: Tensor) -> Tensor | None:
        """(B, L, 3) landmarks of (B, V, 3) vertices, or None for a template without landmarks."""
        return None

    def prior(self, parameters: Parameters) -> Tensor:
        """(B,) sum over all coefficients of (coefficient / sigma)^2: twice the negative logarithm of a Gaussian's density."""
        batch = self.batch_of(parameters)
        total = self.mean().new_zeros(batch)
        for name in parameters:
            total = total + ((self.padded(parameters, name, batch) / self.sigma(name)) ** 2).sum(1)
        return total

    def sigma(self, group: str) -> Tensor:
        """(n,) standard deviation of a group's coefficients, in their own unit; ones unless a template says otherwise."""
        return self.mean().new_ones(self.groups[group])

    def mean(self) -> Tensor:
        """(V, 3) vertices in metres with all parameters at zero."""
        return self.vertices({})[0]

    def neutral(self, batch: int = 1) -> dict[str, Tensor]:
        """Every group at zero: the parameters to start a fit from."""
        mean = self.mean()
        return {name: mean.new_zeros(batch, size) for name, size in self.groups.items()}

    def mesh(self, parameters: Parameters, item: int = 0) -> Mesh:
        """One item of the batch as plain arrays, without gradients."""
        with torch.no_grad():
            colors = self.albedo(parameters)
            vertices = self.vertices(parameters)[item].cpu().numpy()
        return Mesh(vertices, self.faces.cpu().numpy(), None if colors is None else colors[item].cpu().numpy())

    def batch_of(self, parameters: Parameters) -> int:
        """Length of the batch, 1 without any parameters; raises ValueError where names or shapes do not fit the groups."""
        sizes = set()
        for name, values in parameters.items():
            if name not in self.groups:
                raise ValueError(f"no parameter group '{name}'; there are {', '.join(self.groups)}")
            if values.dim() != 2 or values.shape[1] > self.groups[name]:
                raise ValueError(f"{name} must be (B, {self.groups[name]}) or narrower, got {tuple(values.shape)}")
            sizes.add(len(values))
        if len(sizes) > 1:
            raise ValueError(f"the groups have batches of different lengths: {sorted(sizes)}")
        return sizes.pop() if sizes else 1

    def padded(self, parameters: Parameters, group: str, batch: int) -> Tensor:
        """(batch, n) values of a group, zeros where they are not given; in the type and on the device of the template."""
        like, size = self._like(), self.groups[group]
        values = parameters[group].to(like) if group in parameters else like.new_zeros(batch, 0)
        return values if values.shape[1] == size else nn.functional.pad(values, (0, size - values.shape[1]))

    def keep(self, name: str, array: Any) -> None:
        """Hold an array so that it moves with the template but is no weight: floats as float32, whole numbers as int64."""
        tensor = torch.as_tensor(array)
        self.register_buffer(name, tensor.to(torch.float32 if tensor.is_floating_point() else torch.int64), persistent=False)

    def _like(self) -> Tensor:
        return next(buffer for buffer in self.buffers() if buffer.is_floating_point())


class HeadTemplate(Template):
    """A morphable model of a head. Frame: that of the model, x to the subject's left, y up, z out of the face, in metres.

    Groups identity, expression and albedo, all in units of sigma; V. Blanz and T. Vetter, SIGGRAPH 1999. 68 iBUG landmarks.
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
        """(B, V, 3) metres: mean + identity + expression."""
        return self._sum("_mean", ("identity", "expression"), parameters)

    def albedo(self, parameters: Parameters) -> Tensor:
        """(B, V, 3) linear RGB, clamped to [0, 1]."""
        return self._sum("_albedo_mean", ("albedo",), parameters).clamp(0, 1)

    def landmarks(self, vertices: Tensor) -> Tensor:
        """(B, 68, 3) landmarks in iBUG order, weighted means of the corners of a triangle."""
        return (vertices[:, self.landmark_vertices] * self.landmark_weights.to(vertices)[..., None]).sum(2)

    def mean(self) -> Tensor:
        """(V, 3) the mean head in metres."""
        return self.get_buffer("_mean")

    def _sum(self, start: str, groups: tuple[str, ...], parameters: Parameters) -> Tensor:
        batch = self.batch_of(parameters)
        total = self.get_buffer(start).reshape(1, -1).expand(batch, -1)
        for group in groups:
            if group in self.groups and group in parameters:
                total = total + self.padded(parameters, group, batch) @ self.get_buffer(f"_{group}_basis")
        return total.reshape(batch, -1, 3)


class MeshTemplate(Template):
    """Any mesh, its vertices free: group offsets, (B, V * 3) metres added to the vertices in the order x, y, z of each.

    `sigma` is how far vertices are expected to move, in metres; without it, a tenth of the box's diagonal.
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
            raise ValueError(f"faces must index the {len(self._mean)} vertices, and there must be one")
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
        """Read an OBJ, PLY or GLB file; its unit times `scale` is a metre. Raises UserError if it holds no mesh.

        An OBJ keeps its vertices and its texture coordinates apart, so that a seam of the atlas is no hole in the mesh.
        """
        if file.suffix.lower() == ".obj":
            plain = read_obj(file)
            return cls(plain.vertices * scale, plain.faces, uv=plain.uv, faces_uv=plain.faces_uv)
        mesh = read_mesh(file)
        return cls(mesh.vertices * scale, mesh.faces, colors=mesh.colors)

    def vertices(self, parameters: Parameters) -> Tensor:
        """(B, V, 3) metres."""
        batch = self.batch_of(parameters)
        return self._mean + self.padded(parameters, "offsets", batch).reshape(batch, -1, 3)

    def albedo(self, parameters: Parameters) -> Tensor | None:
        """(B, V, 3) the file's colours as they stand, or None."""
        colors = getattr(self, "_colors", None)
        return None if colors is None else colors.expand(self.batch_of(parameters), -1, -1)

    def sigma(self, group: str) -> Tensor:
        """(V * 3,) metres."""
        return self._mean.new_full((self.groups[group],), self._sigma)

    def mean(self) -> Tensor:
        """(V, 3) the mesh as it was given, in metres."""
        return self._mean


def sphere(level: int = 4, radius: float = 1.0) -> MeshTemplate:
    """An icosphere about the origin with free vertices: 10 * 4^level + 2 of them, 20 * 4^level faces; `radius` in metres."""
    vertices, faces = icosphere(level)
    return MeshTemplate(vertices * radius, faces)

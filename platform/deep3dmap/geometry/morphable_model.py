"""A morphable model of a face or head: mean shape, identity, expression and albedo bases, landmarks and texture coordinates.

Used both for the procedural head and for licensed models converted by the user. Vertices are in `unit`, right-handed: x to the
subject's left (image right in a frontal view), y up, z out of the face.
"""

import json
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.files import read_npz, reading

METRES = {"metre": 1.0, "millimetre": 1e-3, "micrometre": 1e-6}
TEXT_FIELDS = ("name", "unit", "source", "licence")
Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class MorphableModel:
    """A linear model with V vertices, F faces, Ki identity, Ke expression and Ka albedo coefficients.

    mean: (V, 3). faces: (F, 3), counter-clockwise from outside. uv: (Vt, 2) in [0, 1], v up. faces_uv: (F, 3) into `uv`.
    identity_basis, expression_basis, albedo_basis: (V, 3, K); their sigma: (K,). Coefficients are in units of sigma.
    albedo_mean: (V, 3) linear RGB. landmark_vertices: (68, 3) vertex ids in iBUG order, with landmark_weights (68, 3) whose
    rows sum to one; a landmark at a vertex has weights 1, 0, 0. mirror: (V,) id of the mirrored vertex. regions: (V,) masks by
    name. unit: metre, millimetre or micrometre. Raises ValueError for inconsistent arrays.
    """

    mean: Floats
    faces: Indices
    uv: Floats
    faces_uv: Indices
    identity_basis: Floats
    identity_sigma: Floats
    expression_basis: Floats
    expression_sigma: Floats
    albedo_mean: Floats
    albedo_basis: Floats
    albedo_sigma: Floats
    landmark_vertices: Indices
    landmark_weights: Floats
    mirror: Indices
    regions: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    name: str = ""
    unit: str = "millimetre"
    source: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        for one in fields(self):
            if one.type in (Floats, Indices):
                kind = np.float32 if one.type == Floats else np.int64
                object.__setattr__(self, one.name, np.ascontiguousarray(getattr(self, one.name), kind))
        _check(self)

    @cached_property
    def vertex_of_uv(self) -> Indices:
        """The vertex of each atlas vertex, (Vt,)."""
        vertex = np.zeros(len(self.uv), np.int64)
        vertex[self.faces_uv.ravel()] = self.faces.ravel()
        return vertex

    def shape(self, identity: NDArray[Any] | None = None, expression: NDArray[Any] | None = None) -> NDArray[np.float64]:
        """Return vertices (V, 3) for coefficients in units of sigma; missing trailing coefficients are zero."""
        return self.shape_of_parameters(
            None if identity is None else _scaled(identity, self.identity_sigma, "identity"),
            None if expression is None else _scaled(expression, self.expression_sigma, "expression"),
        )

    def shape_of_parameters(
        self, identity: NDArray[Any] | None = None, expression: NDArray[Any] | None = None
    ) -> NDArray[np.float64]:
        """Return vertices (V, 3) for coefficients already multiplied by sigma, such as Shape_Para and Exp_Para of 300W-LP."""
        vertices = self.mean.astype(np.float64)
        for values, basis in ((identity, self.identity_basis), (expression, self.expression_basis)):
            if values is not None:
                values = np.asarray(values, np.float64).ravel()
                _check_count(values, basis.shape[2])
                vertices += basis[..., : len(values)] @ values.astype(np.float32)
        return vertices

    def albedo(self, coefficients: NDArray[Any] | None = None) -> NDArray[np.float64]:
        """Return linear RGB (V, 3), clamped to [0, 1], for coefficients in units of sigma."""
        albedo = self.albedo_mean.astype(np.float64)
        if coefficients is not None:
            values = _scaled(coefficients, self.albedo_sigma, "albedo")
            albedo = albedo + self.albedo_basis[..., : len(values)] @ values
        return albedo.clip(0, 1)

    def landmarks(self, vertices: NDArray[Any]) -> NDArray[np.float64]:
        """Interpolate landmarks (68, C) from vertex attributes (V, C), such as positions or atlas coordinates."""
        return np.einsum("lk,lkc->lc", self.landmark_weights.astype(np.float64), np.asarray(vertices)[self.landmark_vertices])

    def save(self, file: Path) -> None:
        """Write the model as .npz."""
        arrays = {one.name: getattr(self, one.name) for one in fields(self) if one.type in (Floats, Indices)}
        masks = {f"region_{name}": mask for name, mask in self.regions.items()}
        about = json.dumps({name: getattr(self, name) for name in TEXT_FIELDS})
        np.savez_compressed(file, allow_pickle=False, about=np.array(about), **arrays, **masks)

    @classmethod
    def load(cls, file: Path) -> "MorphableModel":
        """Read a file written by `save`; raises UserError naming the file and the field."""
        needed = [one.name for one in fields(cls) if one.type in (Floats, Indices)] + ["about"]
        arrays: dict[str, Any] = dict(read_npz(file, "morphable model", needed))
        with reading(file, "morphable model", "write it with MorphableModel.save"):
            about = json.loads(str(arrays.pop("about")))
            regions = {name.removeprefix("region_"): arrays.pop(name) for name in list(arrays) if name.startswith("region_")}
            return cls(**arrays, regions=regions, **about)


def _scaled(coefficients: NDArray[Any], sigma: Floats, what: str) -> NDArray[np.float64]:
    values = np.asarray(coefficients, np.float64).ravel()
    _check_count(values, len(sigma), what)
    return values * sigma[: len(values)]


def _check_count(values: NDArray[Any], most: int, what: str = "shape") -> None:
    if len(values) > most:
        raise ValueError(f"{len(values)} {what} coefficients, but the model has {most}")


def _check(model: MorphableModel) -> None:
    count = len(model.mean)
    _check_shapes(model, count)
    for name, ids, most in (
        ("faces", model.faces, count),
        ("faces_uv", model.faces_uv, len(model.uv)),
        ("landmark_vertices", model.landmark_vertices, count),
        ("mirror", model.mirror, count),
    ):
        if ids.min() < 0 or ids.max() >= most:
            hint = "; they look 1-based, subtract 1" if ids.min() == 1 and ids.max() == most else ""
            raise ValueError(f"{name} contains ids {ids.min()}..{ids.max()}, but they must be 0..{most - 1}{hint}")
    for one in fields(model):
        if one.type == Floats and not np.isfinite(getattr(model, one.name)).all():
            raise ValueError(f"{one.name} contains NaN or infinity")
    if model.unit not in METRES:
        raise ValueError(f"unit must be one of {', '.join(METRES)}, got '{model.unit}'")
    if model.uv.min() < 0 or model.uv.max() > 1:
        raise ValueError(f"uv must lie in [0, 1], got {model.uv.min()}..{model.uv.max()}")
    if _mean_outward(model) <= 0:
        raise ValueError("faces have the wrong winding; reverse them so that they are counter-clockwise from outside")


def _check_shapes(model: MorphableModel, count: int) -> None:
    expected: dict[str, tuple[int | None, ...]] = {"mean": (count, 3), "faces": (None, 3), "uv": (None, 2)}
    expected |= {"faces_uv": (len(model.faces), 3), "albedo_mean": (count, 3), "mirror": (count,)}
    expected |= {"landmark_vertices": (68, 3), "landmark_weights": (68, 3)}
    for kind in ("identity", "expression", "albedo"):
        expected |= {f"{kind}_basis": (count, 3, None), f"{kind}_sigma": (getattr(model, f"{kind}_basis").shape[-1],)}
    for name, shape in expected.items():
        got = getattr(model, name).shape
        if len(got) != len(shape) or any(want not in (None, have) for want, have in zip(shape, got)):
            wanted = tuple("any" if size is None else size for size in shape)
            raise ValueError(f"{name} must have shape {wanted}, got {got}")
    for name, mask in model.regions.items():
        if mask.shape != (count,) or mask.dtype != bool:
            raise ValueError(f"region '{name}' must be ({count},) bool, got {mask.shape} {mask.dtype}")


def _mean_outward(model: MorphableModel) -> float:
    # A face mesh is open at the back, so its volume is meaningless; on average its normals must point away from the inside.
    first, second, third = (model.mean[model.faces[:, k]].astype(np.float64) for k in range(3))
    normals = np.cross(second - first, third - first)
    centre = model.mean.mean(0) - (0, 0, np.ptp(model.mean[:, 2]))
    return float(np.mean(np.sum(normals * ((first + second + third) / 3 - centre), 1)))

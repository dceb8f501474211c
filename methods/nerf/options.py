"""The options of NeRF: the field, its sampling, the fit and the extraction of a mesh."""

from dataclasses import dataclass

from deep3dmap.config.schema import OptimizerConfig
from deep3dmap.core.errors import UserError
from deep3dmap.core.options import option

FIELDS, SPACES = ("mlp", "grid"), ("auto", "box", "unbounded")


@dataclass
class NeRFConfig:
    """The defaults are those published by Mildenhall et al.; options named `grid_*` apply to field=grid only."""

    field: str = option("mlp", "mlp: the paper's two networks; grid: a hash grid with an occupancy grid", choices=FIELDS)
    space: str = option(
        "auto", "box: the scene ends at the bounds; unbounded: all of space; auto: box if there are masks", choices=SPACES
    )
    steps: int = option(200_000, "steps of the fit", low=1, valid="[1, inf)")
    rays: int = option(4096, "rays per step; the maximum for field=grid", low=32, high=65536, log=True, valid="[1, inf)")
    rate: float = option(5e-4, "initial learning rate", low=1e-5, high=1e-1, log=True, valid="(0, inf)")
    final_rate: float = option(0.1, "final learning rate as a fraction of the initial", low=0.001, high=1.0, valid="(0, inf)")
    view_dependent: bool = option(True, "grid: view-dependent colours")
    distortion: float = option(
        0.0, "grid, unbounded: weight of the distortion loss against fog", low=0.0001, high=0.1, log=True, valid="[0, inf)"
    )
    near: float = option(0.02, "near distance of rays, in half sides of the bounds", low=0.001, high=1.0, valid="(0, inf)")
    far: float = option(
        20.0, "far distance of rays in unbounded space, in half sides of the bounds", low=2.0, high=1000.0, valid="(0, inf)"
    )
    width: int = option(256, "units per layer", low=16, high=512, valid="[2, inf)")
    depth: int = option(8, "mlp: layers of the trunk", low=2, high=12, valid="[1, inf)")
    coarse: int = option(64, "mlp: evenly distributed samples per ray", low=8, high=256, valid="[1, inf)")
    fine: int = option(128, "mlp: samples per ray drawn from the coarse network's weights", low=8, high=512, valid="[1, inf)")
    grid_samples: int = option(2**18, "samples per step, over all rays", low=2**10, high=2**20, log=True, valid="[1, inf)")
    grid_levels: int = option(16, "levels of the hash grid", low=2, high=32, valid="[1, inf)")
    grid_log2_size: int = option(19, "maximum entries of a level, as a power of 2", low=8, high=24, valid="[1, 30]")
    grid_coarsest: int = option(16, "cells along a side of the first level", low=2, high=64, valid="[1, inf)")
    grid_finest: int = option(2048, "cells along a side of the last level", low=16, high=8192, log=True, valid="[1, inf)")
    grid_occupancy: int = option(128, "cells along a side of the occupancy grid", low=8, high=256, valid="[1, inf)")
    grid_march: int = option(
        1024, "marching steps along the diagonal of the bounds", low=32, high=4096, log=True, valid="[1, inf)"
    )
    grid_cone: float = option(
        1 / 256, "unbounded: growth of a step as a fraction of its distance", low=0.001, high=0.1, log=True, valid="[0, inf)"
    )
    grid_every: int = option(16, "steps between updates of the occupancy grid", low=1, high=128, valid="[1, inf)")
    mesh_resolution: int = option(
        256, "cells of the mesh grid along the longest side of the bounds", low=16, high=1024, valid="[1, inf)"
    )
    mesh_opacity: float = option(
        0.5, "fraction of light absorbed by a cell on the surface", low=0.05, high=0.95, valid="(0, 1)"
    )
    mesh_seen: bool = option(True, "keep only the part of the surface that is visible in a given view")
    chunk: int = option(8192, "rays rendered at once", low=256, high=2**20, log=True, valid="[1, inf)")


def check(config: NeRFConfig) -> None:
    """Raise UserError for incompatible options."""
    if config.far <= config.near:
        raise UserError(f"method.near must be less than method.far, got {config.near:g} and {config.far:g}")


def adam(config: NeRFConfig) -> OptimizerConfig:
    """Return the optimiser with which the field was published: NeRF's for field=mlp, Instant-NGP's for field=grid."""
    if config.field == "grid":
        return OptimizerConfig(lr=config.rate, betas=[0.9, 0.99], eps=1e-15)
    return OptimizerConfig(lr=config.rate, betas=[0.9, 0.999], eps=1e-7)

"""The options of NeRF: which field, how it is sampled, how long it is fitted and how a mesh is taken from it."""

from dataclasses import dataclass

from deep3dmap.config.schema import OptimizerConfig
from deep3dmap.core.errors import UserError
from deep3dmap.core.options import option

FIELDS, SPACES = ("mlp", "grid"), ("auto", "box", "unbounded")


@dataclass
class NeRFConfig:
    """The defaults are the published ones of Mildenhall et al.; those that begin with `grid_` are for field=grid only."""

    field: str = option("mlp", "mlp: the paper's two networks; grid: a hash grid behind an occupancy grid", choices=FIELDS)
    space: str = option(
        "auto", "box: only the bounds hold anything; unbounded: all of space; auto: box where there are masks", choices=SPACES
    )
    steps: int = option(200_000, "steps of the fit", low=1, valid="[1, inf)")
    rays: int = option(4096, "rays a step; of field=grid, the most", low=32, high=65536, log=True, valid="[1, inf)")
    rate: float = option(5e-4, "learning rate at the beginning", low=1e-5, high=1e-1, log=True, valid="(0, inf)")
    final_rate: float = option(0.1, "share of the learning rate that is left at the end", low=0.001, high=1.0, valid="(0, inf)")
    view_dependent: bool = option(True, "grid: colours may change with the direction they are seen in")
    distortion: float = option(
        0.0, "grid, unbounded: weight of the loss against fog", low=0.0001, high=0.1, log=True, valid="[0, inf)"
    )
    near: float = option(0.02, "nearest that a camera sees, in half sides of the bounds", low=0.001, high=1.0, valid="(0, inf)")
    far: float = option(
        20.0, "farthest that a camera sees in unbounded space, in half sides", low=2.0, high=1000.0, valid="(0, inf)"
    )
    width: int = option(256, "units of a layer", low=16, high=512, valid="[2, inf)")
    depth: int = option(8, "mlp: layers of the trunk", low=2, high=12, valid="[1, inf)")
    coarse: int = option(64, "mlp: samples of a ray that are spread evenly", low=8, high=256, valid="[1, inf)")
    fine: int = option(
        128, "mlp: samples of a ray that are put where the coarse network saw something", low=8, high=512, valid="[1, inf)"
    )
    grid_samples: int = option(2**18, "samples a step, over all rays", low=2**10, high=2**20, log=True, valid="[1, inf)")
    grid_levels: int = option(16, "levels of the hash grid", low=2, high=32, valid="[1, inf)")
    grid_log2_size: int = option(19, "most entries of a level, as a power of 2", low=8, high=24, valid="[1, 30]")
    grid_coarsest: int = option(16, "cells along a side of the first level", low=2, high=64, valid="[1, inf)")
    grid_finest: int = option(2048, "cells along a side of the last level", low=16, high=8192, log=True, valid="[1, inf)")
    grid_occupancy: int = option(128, "cells along a side of the occupancy grid", low=8, high=256, valid="[1, inf)")
    grid_march: int = option(
        1024, "steps of marching along the diagonal of the bounds", low=32, high=4096, log=True, valid="[1, inf)"
    )
    grid_cone: float = option(
        1 / 256, "unbounded: share of its distance by which a step grows", low=0.001, high=0.1, log=True, valid="[0, inf)"
    )
    grid_every: int = option(16, "steps between two looks at which cells are occupied", low=1, high=128, valid="[1, inf)")
    mesh_resolution: int = option(
        256, "cells along the longest side of the bounds for the surface", low=16, high=1024, valid="[1, inf)"
    )
    mesh_opacity: float = option(
        0.5, "share of the light that a cell on the surface stops", low=0.05, high=0.95, valid="(0, 1)"
    )
    mesh_seen: bool = option(True, "keep only the part of the surface that a given view sees")
    chunk: int = option(8192, "rays rendered at once", low=256, high=2**20, log=True, valid="[1, inf)")


def check(config: NeRFConfig) -> None:
    """Raise UserError for options that do not go together."""
    if config.far <= config.near:
        raise UserError(f"method.near must be less than method.far, got {config.near:g} and {config.far:g}")


def adam(config: NeRFConfig) -> OptimizerConfig:
    """Return the optimiser that the field was published with: NeRF's for field=mlp, Instant-NGP's for field=grid."""
    if config.field == "grid":
        return OptimizerConfig(lr=config.rate, betas=[0.9, 0.99], eps=1e-15)
    return OptimizerConfig(lr=config.rate, betas=[0.9, 0.999], eps=1e-7)

"""The options of GNeRF, and the networks, prior and schedules built from them."""

from dataclasses import dataclass
from typing import cast

from deep3dmap.core.errors import UserError
from deep3dmap.core.options import ascending, option
from deep3dmap.methods.gnerf.generator import GeneratorConfig
from deep3dmap.methods.gnerf.inversion_network import InversionNetwork
from deep3dmap.methods.gnerf.objectives import Weights
from deep3dmap.methods.gnerf.pose_prior import PosePrior
from deep3dmap.methods.gnerf.pose_vectors import PoseMode
from deep3dmap.methods.gnerf.schedules import Schedules


@dataclass
class GNeRFConfig:
    """Options of the networks, the camera prior, and the schedule of a fit."""

    pose_mode: str = option(
        "6d", "parameters of a camera: 3d, a position that looks at the origin; 6d, the full pose", choices=("3d", "6d")
    )
    azimuth: list[float] = option([0.0, 360.0], "prior: range of the azimuth in degrees", valid="(-inf, inf)", length=2)
    elevation: list[float] = option(
        [0.0, 90.0], "prior: range of the elevation in degrees, uniform in the angle", valid="[-90, 90]", length=2
    )
    even: bool = option(False, "prior: uniform over the sphere instead of in the elevation")
    radius: list[float] = option([4.0, 4.0], "prior: range of the distance from the origin", valid="(0, inf)", length=2)
    spread: float = option(
        0.0, "prior: standard deviation of the target point, relative to the distance", low=0.0, high=0.2, valid="[0, inf)"
    )
    near: float = option(2.0, "distance of the first sample of a ray", low=0.0, valid="[0, inf)")
    far: float = option(6.0, "distance of the last sample of a ray", valid="(0, inf)")
    white: bool = option(True, "white background, otherwise black")
    width: int = option(360, "units per layer of the radiance field", low=16, high=512, valid="[2, inf)")
    depth: int = option(8, "layers of the radiance field", low=2, high=12, valid="[1, inf)")
    skips: list[int] = option([4], "layers to which the position is fed again", valid="[1, inf)")
    position_octaves: int = option(10, "octaves of the position encoding", low=1, high=16, valid="[1, inf)")
    direction_octaves: int = option(10, "octaves of the view direction encoding", low=1, high=16, valid="[1, inf)")
    coarse: int = option(64, "samples per ray in the first pass", low=4, high=256, valid="[2, inf)")
    fine: int = option(64, "samples added near surfaces", low=4, high=256, valid="[1, inf)")
    chunk: int = option(32768, "rays rendered at once", low=256, valid="[1, inf)")
    patch: int = option(16, "side of the patches in pixels", choices=(16, 32, 64, 128))
    discriminator_width: int = option(
        64, "base number of channels of the discriminator's layers", low=4, high=128, valid="[1, inf)"
    )
    inversion_size: int = option(
        64, "side of the inversion network's input images, a multiple of 16", low=16, high=256, valid="[1, inf)"
    )
    inversion_width: int = option(256, "width of the inversion network", low=16, high=512, valid="[1, inf)")
    inversion_depth: int = option(6, "layers of the inversion network", low=1, high=12, valid="[1, inf)")
    inversion_heads: int = option(16, "attention heads of the inversion network", low=1, high=16, valid="[1, inf)")
    inversion_head_width: int = option(64, "width of each head", low=4, high=64, valid="[1, inf)")
    batch: int = option(12, "images, and random poses, per step", low=1, high=64, valid="[1, inf)")
    steps: int = option(30000, "steps of the fit", low=1, valid="[1, inf)")
    hybrid_from: int = option(12000, "last step of the adversarial phase A, counted from 0", low=0, valid="[0, inf)")
    refine_from: int = option(
        20000, "last step of the hybrid phase ABAB; afterwards poses and field are refined", low=0, valid="[0, inf)"
    )
    first_size: int = option(16, "side of the images at the start", low=16, valid="[1, inf)")
    hybrid_size: int = option(128, "side of the images at the end of phase A", low=16, valid="[1, inf)")
    anneal: float = option(2e-4, "decay rate of the minimum scale of a patch", low=1e-5, high=1.0, log=True, valid="[0, inf)")
    noise_until: int = option(5000, "steps over which the density noise decreases", low=1, valid="[1, inf)")
    network_half: int = option(
        8000, "steps after which the learning rates of field and discriminator are halved", low=1, valid="[1, inf)"
    )
    pose_half: int = option(
        4000, "steps after which the learning rates of inversion network and poses are halved", low=1, valid="[1, inf)"
    )
    discriminator_rate: float = option(
        0.2, "learning rate of the discriminator, as a factor of the field's", low=0.01, high=4.0, valid="(0, inf)"
    )
    inversion_lr: float = option(
        1e-4, "learning rate of the inversion network", low=1e-6, high=1e-2, log=True, valid="(0, inf)"
    )
    pose_lr: float = option(5e-3, "learning rate of the poses", low=1e-5, high=1e-1, log=True, valid="(0, inf)")
    penalty: float = option(10.0, "weight of R1, gamma / 2", low=0.01, high=1000.0, log=True, valid="[0, inf)")
    pose_weight: float = option(
        0.1, "weight of the loss towards the inversion network's poses", low=0.0, high=10.0, valid="[0, inf)"
    )
    photometric: float = option(50.0, "weight of the photometric loss", low=0.0, high=1000.0, valid="[0, inf)")
    start: str = option(
        "prior",
        "initial poses: prior, sampled from it; official, straight above the scene, where the rotation is undefined",
        choices=("prior", "official"),
    )
    weights: str = option("", "official checkpoint to start from: field, discriminator, inversion network, poses")
    shown: int = option(4, "renderings at estimated poses to include in a reconstruction", low=1, high=16, valid="[1, inf)")

    @property
    def mode(self) -> PoseMode:
        """The kind of pose vectors."""
        return cast(PoseMode, self.pose_mode)


def generator_config(c: GNeRFConfig) -> GeneratorConfig:
    """Return the sizes of the radiance field and its rendering; raises UserError if they are incompatible."""
    if c.near >= c.far:
        raise UserError(f"method.near must be less than method.far, got {c.near:g} and {c.far:g}")
    if late := [layer for layer in c.skips if not 0 < layer < c.depth]:
        raise UserError(f"method.skips={c.skips}: layer {late[0]} must be after the first and below method.depth={c.depth}")
    octaves = c.position_octaves, c.direction_octaves
    return GeneratorConfig(c.width, c.depth, tuple(c.skips), *octaves, c.coarse, c.fine, c.near, c.far, c.white, c.chunk)


def inversion_network(c: GNeRFConfig) -> InversionNetwork:
    """Return the inversion network, whose hidden layers have the same width as its tokens."""
    sizes = c.inversion_width, c.inversion_depth, c.inversion_heads, c.inversion_head_width, c.inversion_width
    return InversionNetwork(c.mode, c.inversion_size, *sizes)


def pose_prior(c: GNeRFConfig) -> PosePrior:
    """Return the prior of the cameras; raises UserError for an invalid range."""
    return PosePrior(ascending(c, "azimuth"), ascending(c, "elevation"), ascending(c, "radius"), c.spread, c.even)


def schedules(c: GNeRFConfig, width: int, height: int) -> Schedules:
    """Return the schedules for the given image size; images smaller than `hybrid_size` are not enlarged."""
    if not c.hybrid_from <= c.refine_from <= c.steps:
        raise UserError(
            f"method.hybrid_from, refine_from and steps must not decrease, got {c.hybrid_from}, {c.refine_from}, {c.steps}"
        )
    side = min(c.hybrid_size, width, height)
    first = min(c.first_size, side)
    return Schedules(c.hybrid_from, c.refine_from, first, side, c.patch, c.anneal, c.noise_until, c.network_half, c.pose_half)


def weights(c: GNeRFConfig) -> Weights:
    """Return the weights of the losses."""
    return Weights(c.penalty, c.pose_weight, c.photometric)

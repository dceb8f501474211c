"""The options of GAN2Shape; the defaults are the published configuration for CelebA."""

from dataclasses import dataclass

from deep3dmap.core.errors import UserError
from deep3dmap.core.options import option

UNTRAINED = "untrained"
PLAIN = "plain"
CATEGORIES = ("face", "synface", "cat", "car", "church")


@dataclass
class GAN2ShapeConfig:
    """Options of the networks, the priors and the schedule of a fit."""

    gan: str = option(
        "",
        "generator and discriminator: RUN_ID or METHOD/VARIANT of a run in this store, a checkpoint folder, or a file with "
        "rosinality's or NVlabs' parameter names; untrained = random weights, for testing the pipeline only",
    )
    lpips: str = option(
        "", "LPIPS weights with VGG-16; without them the discriminator's features are used instead, as recorded in the notes"
    )
    mask: str = option(
        PLAIN,
        "weights of the parsing network, BiSeNet for faces and PSPNet for the others, or plain: a plain wall behind the object",
    )
    networks: str = option("", "a published checkpoint of the five networks to start from; skips the ellipsoid")
    image_size: int = option(128, "working size: side of the pictures, a power of two", low=16, high=256, valid="[1, inf)")
    width: int = option(
        0, "channels of the first layers of depth, albedo, view and light (0 = as published)", low=0, valid="[0, inf)"
    )
    code: int = option(256, "length of the bottleneck code of depth and albedo", low=8, high=1024, valid="[1, inf)")
    offset_width: int = option(32, "channels of the first layer of the offset encoder", low=4, high=128, valid="[1, inf)")
    category: str = option("face", "kind of object, which adjusts the mask's box for the ellipsoid", choices=CATEGORIES)
    near: float = option(0.91, "depth of the ellipsoid's centre", low=0.8, high=1.2, valid="(0, inf)")
    far: float = option(1.02, "depth of its rim and of the background", low=0.8, high=1.2, valid="(0, inf)")
    rotation: float = option(60.0, "scale of a view's first three numbers, in degrees", low=1.0, high=90.0, valid="(0, inf)")
    shift: float = option(
        0.1, "scale of a view's x and y shifts, in distances of the object", low=0.0, high=0.5, valid="[0, inf)"
    )
    view_mean: list[float] = option(
        [0.0] * 6,
        "mean of the views, in the view network's units: rotations about x, y, z, shifts along x, y, z",
        valid="(-inf, inf)",
        length=6,
    )
    view_deviation: list[float] = option(
        [0.1, 0.28, 0.05, 0.15, 0.1, 0.01],
        "standard deviations of the views of pseudo samples, in the same units",
        valid="(0, inf)",
        length=6,
    )
    view_scale: float = option(1.2, "factor of the yaw of pseudo samples", low=0.5, high=3.0, valid="[0, inf)")
    light_mean: list[float] = option(
        [0.0, 0.0, 0.0, 0.2],
        "mean of the lights: ambient, diffuse, x, y, in the light network's units",
        valid="(-inf, inf)",
        length=4,
    )
    light_range: list[float] = option(
        [-1.0, 1.0, -0.2, 0.8, -0.1, 0.6, -0.6],
        "lights of pseudo samples: minimum and maximum of x, y and strength, and the ambient change per strength",
        valid="(-inf, inf)",
        length=7,
    )
    inversion: int = option(1000, "steps of the search for the picture's latent code", low=1, high=10000, valid="[0, inf)")
    inversion_rate: float = option(0.1, "learning rate of this search", low=1e-3, high=1.0, log=True, valid="(0, inf)")
    ellipsoid: int = option(1000, "steps that fit the depth network to the ellipsoid", low=0, high=10000, valid="[0, inf)")
    stages: int = option(4, "number of stages, each of three steps", low=1, high=16, valid="[0, inf)")
    first: list[int] = option([600, 600, 400], "lengths of step 1, 2 and 3 in the first stage", valid="[0, inf)", length=3)
    later: list[int] = option([200, 500, 300], "lengths of step 1, 2 and 3 in later stages", valid="[0, inf)", length=3)
    mirror_step1: list[bool] = option([False], "per stage: in step 1, a mirrored copy must also explain the picture")
    mirror_step3: list[bool] = option([True, False], "per stage: the same in step 3")
    batch: int = option(16, "pseudo samples per step", low=1, high=64, valid="[1, inf)")
    collect: int = option(100, "batches of projected samples for step 3", low=1, high=2000, valid="[1, inf)")
    relative: bool = option(True, "subtract the encoder's output for the generator's own picture from its outputs")
    use_mask: bool = option(False, "compare pseudo samples only on the object")
    mask_photograph: bool = option(False, "also compare the photograph only on the object; not in the published code")
    view_start: int = option(
        0,
        "steps before the first step 3 in which the view and light networks are trained with the known views and lights of the "
        "generator's pictures; 0 as published",
        low=0,
        high=10000,
        valid="[0, inf)",
    )
    view_start_rate: float = option(
        1e-4, "learning rate of these steps; narrow networks need more", low=1e-5, high=1e-2, log=True, valid="(0, inf)"
    )
    view_weight: float = option(
        0.0,
        "weight in step 3 of the error of views and lights compared with the known ones; 0 as published",
        low=0.0,
        high=100.0,
        valid="[0, inf)",
    )
    relief_weight: float = option(
        0.0,
        "weight in step 3 of the squared log ratio of the relief's scale and that of the ellipsoid; 0 as published",
        low=0.0,
        high=100.0,
        valid="[0, inf)",
    )
    residual: bool = option(
        False,
        "add to the generator's pictures what its own picture of the photograph lacks; not in the published method",
    )
    crop: int = option(
        0, "side of the central crop of the generator's pictures (0 = no crop)", low=0, high=1024, valid="[0, inf)"
    )
    offset_layers: int = option(
        2, "last layers of the mapping network applied to offsets, including the normalisation", low=1, valid="[1, inf)"
    )
    lr: float = option(1e-4, "learning rate of all networks", low=1e-6, high=1e-2, log=True, valid="(0, inf)")
    weight_decay: float = option(5e-4, "L2 penalty of all networks", low=1e-6, high=1e-2, log=True, valid="[0, inf)")
    perceptual: float = option(0.5, "weight of the perceptual distance", low=0.0, high=10.0, valid="[0, inf)")
    smooth: float = option(0.01, "weight of the smoothness of depth and shading", low=0.0, high=1.0, valid="[0, inf)")
    regular: float = option(0.01, "weight of the magnitude of latent offsets", low=0.0, high=10.0, valid="[0, inf)")

    joint: int = option(
        0, "pictures on which the networks are trained jointly before any fit (0 = none)", low=0, valid="[0, inf)"
    )
    joint_stages: int = option(4, "joint training: number of stages", low=1, high=16, valid="[0, inf)")
    joint_first: list[int] = option(
        [1500, 1500, 1500], "joint training: lengths of step 1, 2 and 3 in the first stage", valid="[0, inf)", length=3
    )
    joint_later: list[int] = option(
        [700, 1000, 1000], "joint training: lengths of step 1, 2 and 3 in later stages", valid="[0, inf)", length=3
    )
    joint_mirror_step1: list[bool] = option([False, True], "joint training: mirrored copies in step 1, per stage")
    joint_mirror_step3: list[bool] = option([True], "joint training: mirrored copies in step 3, per stage")
    joint_batch: int = option(8, "joint training: pseudo samples per step", low=1, high=64, valid="[1, inf)")
    joint_collect: int = option(800, "joint training: batches of projected samples over all pictures", low=1, valid="[0, inf)")

    @property
    def fit_schedule(self) -> "StageSchedule":
        """The stages of the fit to one picture."""
        lengths = (self.first, self.later)
        mirror = (self.mirror_step1, self.mirror_step3)
        return StageSchedule(self.stages, *lengths, *mirror, self.batch, self.collect, self.view_start)

    @property
    def joint_schedule(self) -> "StageSchedule":
        """The stages of the joint training."""
        lengths = (self.joint_first, self.joint_later)
        mirror = (self.joint_mirror_step1, self.joint_mirror_step3)
        return StageSchedule(self.joint_stages, *lengths, *mirror, self.joint_batch, self.joint_collect, self.view_start)

    @property
    def begins_trained(self) -> bool:
        """Whether a fit starts from trained networks, instead of the ellipsoid."""
        return bool(self.networks or self.joint)

    @property
    def fit_length(self) -> int:
        """Number of steps of a complete fit to one picture."""
        return self.inversion + (0 if self.begins_trained else self.ellipsoid) + self.fit_schedule.length

    @property
    def joint_length(self) -> int:
        """Number of steps of the joint training, in which `joint_batch` pictures are inverted at a time."""
        return -(-self.joint // self.joint_batch) * self.inversion + self.ellipsoid + self.joint_schedule.length


@dataclass(frozen=True)
class StageSchedule:
    """Schedule of stages with three steps each.

    first, later: lengths of the three steps in the first and in later stages. batch: pseudo samples per step. collect: batches
    of them for step 3. view_start: steps before the first step 3 that learn views and lights from those of the pseudo samples.
    """

    stages: int
    first: list[int]
    later: list[int]
    mirror_step1: list[bool]
    mirror_step3: list[bool]
    batch: int
    collect: int
    view_start: int = 0

    @property
    def length(self) -> int:
        """Number of steps of all stages."""
        return self.view_start + sum(sum(self.steps_of(stage)) for stage in range(self.stages))

    def steps_of(self, stage: int) -> tuple[int, int, int]:
        """Return the lengths of the three steps of a stage."""
        first, second, third = self.later if stage else self.first
        return first, second, third


def check(config: GAN2ShapeConfig) -> None:
    """Raise UserError for invalid options."""
    c = config
    for name in ("mirror_step1", "mirror_step3", "joint_mirror_step1", "joint_mirror_step3"):
        if not getattr(c, name):
            raise UserError(f"method.{name} needs at least one value; the last one applies to all later stages")
    if 0 < c.joint_collect < c.joint:
        raise UserError(
            f"method.joint_collect={c.joint_collect} is less than a batch for each of the {c.joint} pictures of method.joint"
        )


def at_stage(flags: list[bool], stage: int) -> bool:
    """Return the flag of a stage; the last one applies to all later stages."""
    return bool(flags[min(stage, len(flags) - 1)])

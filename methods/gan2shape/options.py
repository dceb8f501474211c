"""What can be chosen of GAN2Shape; the defaults are the published configuration for CelebA."""

from dataclasses import dataclass

from deep3dmap.core.errors import UserError
from deep3dmap.core.options import option

UNTRAINED = "untrained"
PLAIN = "plain"
CATEGORIES = ("face", "synface", "cat", "car", "church")


@dataclass
class GAN2ShapeConfig:
    """Sizes, priors and the schedule of the fit to one picture."""

    gan: str = option(
        "",
        "generator and discriminator: RUN_ID or METHOD/VARIANT of a run of this store, a checkpoint's folder, or a file in "
        "rosinality's or NVlabs' naming; untrained = random ones, which know nothing and only let the machinery run",
    )
    lpips: str = option(
        "", "weights of LPIPS with VGG-16; without them the discriminator's features stand in, and notes say so"
    )
    mask: str = option(
        PLAIN,
        "weights of the parsing network, BiSeNet for faces and PSPNet for the others, or plain: a plain wall behind the object",
    )
    networks: str = option("", "the five networks of a published checkpoint to start from; the ellipsoid is left out then")
    image_size: int = option(128, "side of the pictures that are worked on, a power of two", low=16, high=256, valid="[1, inf)")
    width: int = option(
        0, "channels of the first layers of depth, albedo, view and light (0 = the published ones)", low=0, valid="[0, inf)"
    )
    code: int = option(256, "length of the inner code of depth and albedo", low=8, high=1024, valid="[1, inf)")
    offset_width: int = option(32, "channels of the first layer of the offset encoder", low=4, high=128, valid="[1, inf)")
    category: str = option("face", "how the ellipsoid lies in the mask's box", choices=CATEGORIES)
    near: float = option(0.91, "depth of the ellipsoid's middle", low=0.8, high=1.2, valid="(0, inf)")
    far: float = option(1.02, "depth of its rim and of all around", low=0.8, high=1.2, valid="(0, inf)")
    rotation: float = option(
        60.0, "degrees that 1 in a view's first three numbers stands for", low=1.0, high=90.0, valid="(0, inf)"
    )
    shift: float = option(
        0.1, "what 1 in its next two numbers stands for, in distances of the object", low=0.0, high=0.5, valid="[0, inf)"
    )
    view_mean: list[float] = option(
        [0.0] * 6,
        "mean of the views, in the view network's units: turns about x, y, z, shifts along x, y, z",
        valid="(-inf, inf)",
        length=6,
    )
    view_deviation: list[float] = option(
        [0.1, 0.28, 0.05, 0.15, 0.1, 0.01],
        "standard deviations of the views that pseudo samples are drawn from, in the same units",
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
        "lights of pseudo samples: x, y and strength from and to, and what a strength adds to the ambient part",
        valid="(-inf, inf)",
        length=7,
    )
    inversion: int = option(1000, "steps that look for the latent code of the picture", low=1, high=10000, valid="[0, inf)")
    inversion_rate: float = option(0.1, "learning rate of that", low=1e-3, high=1.0, log=True, valid="(0, inf)")
    ellipsoid: int = option(1000, "steps that make the depth network give the ellipsoid", low=0, high=10000, valid="[0, inf)")
    stages: int = option(4, "stages of three steps", low=1, high=16, valid="[0, inf)")
    first: list[int] = option([600, 600, 400], "steps of step 1, 2 and 3 in the first stage", valid="[0, inf)", length=3)
    later: list[int] = option([200, 500, 300], "steps of step 1, 2 and 3 in every later stage", valid="[0, inf)", length=3)
    mirror_step1: list[bool] = option(
        [False], "whether a mirrored copy has to explain the picture too, in step 1 of every stage"
    )
    mirror_step3: list[bool] = option([True, False], "the same for step 3")
    batch: int = option(16, "pseudo samples of a step", low=1, high=64, valid="[1, inf)")
    collect: int = option(100, "batches of projected samples that step 3 explains", low=1, high=2000, valid="[1, inf)")
    relative: bool = option(True, "take the encoder's answer to the generator's own picture off its answers")
    use_mask: bool = option(False, "compare pseudo samples on the object only")
    mask_photograph: bool = option(False, "compare the photograph on the object only, too; not in the published code")
    view_start: int = option(
        0,
        "steps before the first step 3 in which the view and light networks learn to read the views and lights that the "
        "generator's pictures were asked for; 0 as published",
        low=0,
        high=10000,
        valid="[0, inf)",
    )
    view_start_rate: float = option(
        1e-4, "learning rate of those steps; narrow networks take more", low=1e-5, high=1e-2, log=True, valid="(0, inf)"
    )
    view_weight: float = option(
        0.0,
        "weight in step 3 of how far views and lights are from those asked for; 0 as published",
        low=0.0,
        high=100.0,
        valid="[0, inf)",
    )
    crop: int = option(
        0, "side of the middle of the generator's pictures that is used (0 = all)", low=0, high=1024, valid="[0, inf)"
    )
    offset_layers: int = option(
        2, "last layers of the mapping network that offsets run through, normalisation counted", low=1, valid="[1, inf)"
    )
    lr: float = option(1e-4, "learning rate of all networks", low=1e-6, high=1e-2, log=True, valid="(0, inf)")
    weight_decay: float = option(5e-4, "L2 penalty of all networks", low=1e-6, high=1e-2, log=True, valid="[0, inf)")
    perceptual: float = option(0.5, "weight of the perceptual distance", low=0.0, high=10.0, valid="[0, inf)")
    smooth: float = option(0.01, "weight of the smoothness of depth and shading", low=0.0, high=1.0, valid="[0, inf)")
    regular: float = option(0.01, "weight of the size of latent offsets", low=0.0, high=10.0, valid="[0, inf)")

    joint: int = option(
        0, "pictures that the networks are trained on together before any fit (0 = none)", low=0, valid="[0, inf)"
    )
    joint_stages: int = option(4, "stages of the joint training", low=1, high=16, valid="[0, inf)")
    joint_first: list[int] = option(
        [1500, 1500, 1500], "joint training: steps of step 1, 2 and 3 in the first stage", valid="[0, inf)", length=3
    )
    joint_later: list[int] = option(
        [700, 1000, 1000], "joint training: the same in every later stage", valid="[0, inf)", length=3
    )
    joint_mirror_step1: list[bool] = option([False, True], "joint training: mirrored copies in step 1 of every stage")
    joint_mirror_step3: list[bool] = option([True], "joint training: the same for step 3")
    joint_batch: int = option(8, "joint training: pseudo samples of a step", low=1, high=64, valid="[1, inf)")
    joint_collect: int = option(800, "joint training: batches of projected samples of all pictures", low=1, valid="[0, inf)")

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
        """Whether a fit begins with networks that know the category, and not with the ellipsoid."""
        return bool(self.networks or self.joint)

    @property
    def fit_length(self) -> int:
        """The number of steps of the whole fit to a picture."""
        return self.inversion + (0 if self.begins_trained else self.ellipsoid) + self.fit_schedule.length

    @property
    def joint_length(self) -> int:
        """The number of steps of the joint training: pictures are inverted `joint_batch` at a time."""
        return -(-self.joint // self.joint_batch) * self.inversion + self.ellipsoid + self.joint_schedule.length


@dataclass(frozen=True)
class StageSchedule:
    """Stages of three steps.

    first, later: lengths of the steps. batch: pseudo samples of a step. collect: batches of them for step 3. view_start: steps
    before the first step 3 in which views and lights are learnt from those of the pseudo samples.
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
        """The number of steps of all stages."""
        return self.view_start + sum(sum(self.steps_of(stage)) for stage in range(self.stages))

    def steps_of(self, stage: int) -> tuple[int, int, int]:
        """Return how long the three steps of a stage are."""
        first, second, third = self.later if stage else self.first
        return first, second, third


def check(config: GAN2ShapeConfig) -> None:
    """Raise UserError for options that no fit can have."""
    c = config
    for name in ("mirror_step1", "mirror_step3", "joint_mirror_step1", "joint_mirror_step3"):
        if not getattr(c, name):
            raise UserError(f"method.{name} needs at least one value; the last one holds for all later stages")
    if 0 < c.joint_collect < c.joint:
        raise UserError(
            f"method.joint_collect={c.joint_collect} is less than a batch for each of the {c.joint} pictures of method.joint"
        )


def at_stage(flags: list[bool], stage: int) -> bool:
    """Return the flag of a stage; the last one holds for all later ones."""
    return bool(flags[min(stage, len(flags) - 1)])

"""Images of procedural heads with ground truth, one seed per image, written in the layout of 300W-LP."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.data.formats.threehundred_w_lp import FittedFace, write_boxes, write_face, write_photograph
from deep3dmap.data.generation import item_seed, make_items
from deep3dmap.data.scenes.head_model import head_model
from deep3dmap.data.scenes.head_render import RenderSettings, render_head
from deep3dmap.data.scenes.head_subject import place, sample_subject
from deep3dmap.geometry.face_crop import INFERENCE_FACTOR, detector_box_of_square


@dataclass(frozen=True)
class HeadsPlan:
    """Generation settings. Equal plans produce identical files, regardless of the number of processes."""

    train: int
    val: int
    test: int
    image_size: int
    supersample: int
    grid: int
    texture_size: int
    most_yaw: float
    occluders: float
    seed: int

    def count(self, split: str) -> int:
        """Return the number of images in a split."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]


@dataclass(frozen=True)
class Job:
    """One image to generate."""

    plan: HeadsPlan
    split: str
    index: int
    folder: str


def write_split(plan: HeadsPlan, split: str, folder: Path, workers: int = 1, quiet: bool = True) -> None:
    """Write <name>.jpg and <name>.mat for each image of a split, and boxes.csv, into `folder`."""
    jobs = [Job(plan, split, index, str(folder)) for index in range(plan.count(split))]
    seconds = seconds_each(plan)
    made = make_items(make_head, jobs, title=f"heads ({split})", seconds=seconds, workers=workers, quiet=quiet)
    write_boxes(folder / "boxes.csv", dict(made))


def seconds_each(plan: HeadsPlan) -> float:
    """Return the approximate generation time of one image on one core in seconds."""
    return 0.012 + 9e-8 * (plan.image_size * plan.supersample) ** 2


def make_head(job: Job) -> tuple[str, NDArray[np.float32]]:
    """Generate and write one image; returns its name and a simulated detector box."""
    plan, size = job.plan, job.plan.image_size
    rng = np.random.default_rng(item_seed("heads", plan.seed, job.split, job.index))
    model = head_model(plan.grid, plan.seed)
    subject = sample_subject(rng, model, plan.most_yaw)
    landmarks = model.landmarks(model.shape(subject.identity, subject.expression))
    pose = place(subject, landmarks, size, rng, share=(0.38, 0.55))
    seen = pose.image(landmarks, size)
    tight = np.concatenate([seen[:, :2].min(0), seen[:, :2].max(0)])
    settings = RenderSettings(size, plan.supersample, plan.grid, plan.texture_size, plan.occluders, plan.seed)
    image = render_head(subject, pose, settings, tight, rng)
    name = f"head_{job.index:05d}"
    face = FittedFace(
        pose=pose,
        shape=subject.identity * model.identity_sigma,
        expression=subject.expression * model.expression_sigma,
        landmarks=seen.astype(np.float32),
        has_depth=True,
        texture=subject.albedo,
        roi=np.array([0, 0, size, size], np.int16),
    )
    write_photograph(Path(job.folder) / f"{name}.jpg", image)
    write_face(Path(job.folder) / f"{name}.mat", face)
    return name, detector_like_box(tight, rng)


def detector_like_box(tight: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float32]:
    """Simulate a face detector's box for landmarks in the box `tight`, with about 4 % error in position and size."""
    side = (tight[2:] - tight[:2]).mean()
    centre = (tight[:2] + tight[2:]) / 2 + rng.normal(0, 0.04, 2).clip(-0.1, 0.1) * side
    square = INFERENCE_FACTOR * side * (1 + float(np.clip(rng.normal(0, 0.04), -0.1, 0.1)))
    return detector_box_of_square(centre[0] - square / 2, centre[1] - square / 2, square)

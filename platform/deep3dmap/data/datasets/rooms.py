"""Procedural furnished rooms: written in the layout of 7-Scenes or ScanNet, read back by the reader of the real data."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from deep3dmap.core import ply
from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Preparation, Sample, Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.options import option
from deep3dmap.data.cache import build_folder
from deep3dmap.data.content_hash import hash_data, hash_generator
from deep3dmap.data.datasets import scannet as scannet_dataset
from deep3dmap.data.datasets import sevenscenes as sevenscenes_dataset
from deep3dmap.data.datasets.posed_scans import SCAN_KEYS
from deep3dmap.data.formats import images, scannet, sevenscenes
from deep3dmap.data.generation import item_seed, make_items
from deep3dmap.data.scenes import (
    rooms,
    rooms_camera,
    rooms_furniture,
    rooms_layout,
    rooms_lighting,
    rooms_render,
    rooms_sensor,
    rooms_shapes,
    rooms_textures,
)
from deep3dmap.ops import cube_light_reference, solid_texture_reference

SOURCES = (
    rooms,
    rooms_camera,
    rooms_furniture,
    rooms_layout,
    rooms_lighting,
    rooms_render,
    rooms_sensor,
    rooms_shapes,
    rooms_textures,
    images,
    ply,
    scannet,
    sevenscenes,
    cube_light_reference,
    solid_texture_reference,
)


@dataclass
class RoomsConfig:
    """How many rooms there are and how they are recorded."""

    train: int = option(64, "number of training rooms", low=0, high=10000)
    val: int = option(4, "number of validation rooms", low=0, high=1000)
    test: int = option(16, "number of test rooms", low=1, high=1000)
    frames: int = option(240, "frames of each room", low=2, high=5000)
    width: int = option(640, "pixels across", low=16, high=4096)
    height: int = option(480, "pixels down", low=16, high=4096)
    depth_noise: float = option(1.0, "strength of the depth sensor's faults, 1 = like a Kinect, 0 = exact", low=0, high=5)
    mesh_edge: float = option(0.025, "longest edge of the ground-truth mesh in metres", low=0.005, high=0.2)
    seed: int = option(0, "seed of all rooms", low=0)
    layout: str = option("sevenscenes", "layout of the files on disk", choices=tuple(rooms.LAYOUTS))


class RoomSplit:
    """Rooms as samples: images, depths (as sensed), true_depths, intrinsics, world_from_camera and mesh."""

    def __init__(self, folders: list[Path], layout: str = "sevenscenes") -> None:
        self._folders, self._layout = folders, layout

    def __len__(self) -> int:
        return len(self._folders)

    def __getitem__(self, index: int) -> Sample:
        """Read room `index`; frames are loaded when asked for."""
        if self._layout == "scannet":
            return scannet_dataset.read_sample(self._folders[index])
        return sevenscenes_dataset.read_sample(self._folders[index], sevenscenes_dataset.SevenScenesConfig())

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def name(self, index: int) -> str:
        """Return the name of a room, such as test_003."""
        return self._folders[index].name


class Rooms:
    """Procedural furnished rooms with exact ground truth; any number, no download."""

    card = DatasetCard(
        title="Procedural furnished rooms",
        provides=(*SCAN_KEYS, "mesh"),
        splits=("train", "val", "test"),
        frame="world: z up, floor at z = 0",
        unit="metre",
        licence="Apache-2.0",
        source="made by deep3dmap.data.scenes.rooms",
    )
    config_type = RoomsConfig

    def __init__(self, config: RoomsConfig, cache: Path) -> None:
        if min(config.train, config.val, config.test) < 0 or config.frames < 2 or min(config.width, config.height) < 16:
            raise UserError("dataset rooms: train, val and test are at least 0, frames 2, width and height 16")
        if config.mesh_edge <= 0 or config.depth_noise < 0:
            raise UserError("dataset rooms: mesh_edge is above 0 and depth_noise at least 0")
        if config.layout not in rooms.LAYOUTS:
            raise unknown("dataset.layout of rooms", config.layout, rooms.LAYOUTS)
        self._config, self._cache = config, cache

    @property
    def root(self) -> Path:
        """The folder of the rooms; rooms of equal recipe are shared by datasets of any size."""
        return self._cache / "rooms" / self._look

    @property
    def version(self) -> str:
        """Hash of the configuration and of the source code that makes the rooms."""
        return hash_data([self._look, [self._config.train, self._config.val, self._config.test]])

    def missing(self, splits: Sequence[str] | None = None) -> list[Preparation]:
        """Return what `prepare` would make."""
        counts = {split: len(self._missing_jobs([split])) for split in self._wanted(splits)}
        each = rooms.seconds_each(self._config.frames, self._config.width, self._config.height)
        return [Preparation(f"rooms ({split})", count, count * each) for split, count in counts.items() if count]

    def prepare(self, workers: int = 1, quiet: bool = True, splits: Sequence[str] | None = None) -> None:
        """Make the rooms of these splits, None = all, that are missing."""
        self._furnish(self._wanted(splits), workers, quiet)

    def split(self, name: str) -> Split:
        """Return a split, made first if need be; raises UserError for a name other than train, val and test."""
        if name not in self.card.splits:
            raise unknown("split of rooms", name, self.card.splits)
        self._furnish([name])
        return RoomSplit([folder for folder, _ in self._jobs(name)], self._config.layout)

    def _furnish(self, splits: Sequence[str], workers: int = 1, quiet: bool = True) -> None:
        each = rooms.seconds_each(self._config.frames, self._config.width, self._config.height)
        title = f"rooms ({', '.join(splits)})"
        make_items(_make_room, self._missing_jobs(splits), title=title, seconds=each, workers=workers, quiet=quiet)

    def _missing_jobs(self, splits: Sequence[str]) -> list[tuple[Path, rooms.RoomRecipe]]:
        return [job for split in splits for job in self._jobs(split) if not job[0].is_dir()]

    def _wanted(self, splits: Sequence[str] | None) -> list[str]:
        for name in splits or ():
            if name not in self.card.splits:
                raise unknown("split of rooms", name, self.card.splits)
        return [name for name in self.card.splits if splits is None or name in splits]

    @property
    def _look(self) -> str:
        shared = RoomsConfig(**{**asdict(self._config), "train": 0, "val": 0, "test": 0})
        return hash_generator(shared, SOURCES)

    def _jobs(self, split: str) -> list[tuple[Path, rooms.RoomRecipe]]:
        c = self._config
        return [
            (
                self.root / f"{split}_{index:03d}",
                rooms.RoomRecipe(
                    item_seed("rooms", c.seed, split, index),
                    c.frames,
                    c.width,
                    c.height,
                    c.depth_noise,
                    c.mesh_edge,
                    c.layout,
                ),
            )
            for index in range(getattr(c, split))
        ]


def _make_room(job: tuple[Path, rooms.RoomRecipe]) -> Path:
    folder, recipe = job
    return build_folder(folder, partial(rooms.write_room, recipe=recipe))

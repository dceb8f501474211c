"""CMU Multi-PIE as multi-view samples: images of one person from several cameras at one moment under one light."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Sample, Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.mesh import Mesh
from deep3dmap.core.options import option
from deep3dmap.data.content_hash import hash_data, hash_files
from deep3dmap.data.datasets.given_root import given_root
from deep3dmap.data.formats import multipie
from deep3dmap.data.formats.images import read_image
from deep3dmap.data.formats.multipie import Photograph
from deep3dmap.data.formats.resizing import resize
from deep3dmap.geometry.obj_file import read_obj


@dataclass
class MultiPIEConfig:
    """Location of Multi-PIE, selection of photographs, and additional files."""

    root: str = option("", "folder of the photographs, with any subfolder structure")
    names: str = option("", "file listing the photographs to read (.csv, .json or .pkl); none = all below root")
    fits: str = option("", "face-model fits per photograph (.npz, .json or .pkl); none = images only")
    meshes: str = option("", "folder of fitted meshes <subject>_<session>_<recording>.obj; none = no meshes")
    textures: str = option("", "folder of unwrapped textures <subject>_<session>_<recording>.png; none = no textures")
    cameras: list = option([multipie.FRONTAL, "19_0", "08_0"], "cameras of the views in a sample, in this order, each quoted")
    lights: list = option([], "numbers of the lights to use; none = all")
    expressions: list = option([], "names of the expressions to use; none = all")
    last_train: int = option(200, "last subject number of the training split; the others are for testing", low=1)
    image_size: int = option(0, "side to which square images are resized in pixels; 0 = no resizing", low=0)


@dataclass(frozen=True)
class _AdditionalFiles:
    fits: Mapping[str, Mapping[str, Any]] | None
    fits_file: Path
    meshes: Path | None
    textures: Path | None
    image_size: int


class MultiPIESplit:
    """Takes as samples: images and, if provided, landmarks_68_views, affine_cameras, mesh and uv_texture."""

    def __init__(self, samples: list[list[tuple[Photograph, Path]]], additional: _AdditionalFiles) -> None:
        self._samples, self._additional = samples, additional

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def name(self, index: int) -> str:
        """Return <subject>_<session>_<recording>_<light>."""
        first = self._samples[index][0][0]
        return f"{first.take}_{first.light:02d}"

    def __getitem__(self, index: int) -> Sample:
        """Read the views of one take under one light."""
        views, additional = self._samples[index], self._additional
        images = [read_image(file) for _, file in views]
        sizes = [image.shape[1:] for image in images]
        factors = [_scale_factor(size, additional.image_size, file) for size, (_, file) in zip(sizes, views)]
        resized = [_resize_image(image, additional.image_size) for image in images]
        if len({image.shape for image in resized}) > 1:
            raise UserError(f"{views[0][1].parent}: views of different sizes {sorted(set(sizes))}; set dataset.image_size")
        sample: Sample = {"images": np.stack(resized)}
        if additional.fits is not None:
            heights = [size[0] for size in sizes]
            sample |= _collect_fits(
                additional.fits, additional.fits_file, [photograph for photograph, _ in views], heights, factors
            )
        return sample | _read_models(views[0][0].take, additional)


class MultiPIE:
    """Multi-PIE from the user's licensed copy. Splits share no subjects; takes with missing views are skipped."""

    card = DatasetCard(
        title="CMU Multi-PIE: people seen by thirteen cameras around them",
        provides=("images", "landmarks_68_views", "affine_cameras", "mesh", "uv_texture"),
        splits=("train", "test"),
        frame="frame of the fitted meshes",
        unit="unit of the fitted meshes",
        licence="Multi-PIE licence of Carnegie Mellon University: for its licensee only, no redistribution",
        source="R. Gross et al., Multi-PIE, Image and Vision Computing 28(5), 2010",
        needs_root=True,
    )
    config_type = MultiPIEConfig

    def __init__(self, config: MultiPIEConfig, cache: Path) -> None:
        self._config, self._cache = config, cache
        for camera in config.cameras:
            if camera not in multipie.CAMERAS:
                # Without quotes YAML reads 05_1 as a number.
                raise unknown("camera of Multi-PIE in dataset.cameras (write them in quotes)", str(camera), multipie.CAMERAS)
        for expression in config.expressions:
            if expression not in multipie.EXPRESSIONS:
                raise unknown("expression of Multi-PIE in dataset.expressions", str(expression), multipie.EXPRESSIONS)
        if not config.cameras or len(set(config.cameras)) < len(config.cameras):
            raise UserError(f"dataset.cameras must name cameras, each once, got {list(config.cameras)}")
        provided = {"images"} | ({"landmarks_68_views", "affine_cameras"} if config.fits else set())
        provided |= ({"mesh"} if config.meshes else set()) | ({"uv_texture"} if config.textures else set())
        # List only the keys for which the configuration names files.
        self.card = replace(type(self).card, provides=tuple(key for key in type(self).card.provides if key in provided))

    @property
    def root(self) -> Path:
        """Folder of the photographs. Raises UserError if it is not set or does not exist."""
        return given_root(self._config.root, "a licensed copy of Multi-PIE")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether the photographs in a folder follow Multi-PIE's naming."""
        return path.is_dir() and any(multipie.is_photograph_name(file) for file in path.glob("*.png"))

    def prepare(self, workers: int = 1, quiet: bool = True) -> None:
        """Check that every split has samples and that the configured files exist."""
        for split in self.card.splits:
            self.split(split)

    @property
    def version(self) -> str:
        """Hash of the photographs that are read, of the additional files, and of the reading options."""
        c = self._config
        files = [file for split in self.card.splits for sample in self._samples(split) for _, file in sample]
        additional = [_require_path(c.fits, "fits")] if c.fits else []
        for folder, field in ((c.meshes, "meshes"), (c.textures, "textures")):
            additional += sorted(_require_path(folder, field).iterdir()) if folder else []
        options = {
            name: value for name, value in asdict(c).items() if name not in ("root", "names", "fits", "meshes", "textures")
        }
        return hash_data([hash_files(self.root, [*files, *additional], self._cache), options])

    def split(self, name: str) -> Split:
        """Return a split; raises UserError if no take in it has all the views."""
        if name not in self.card.splits:
            raise unknown("split of multipie", name, self.card.splits)
        samples = self._samples(name)
        if not samples:
            wanted = ", ".join(self._config.cameras)
            raise UserError(f"{self.root}: no take of the {name} split has the views {wanted}; see dataset.cameras and lights")
        return MultiPIESplit(samples, self._additional)

    @cached_property
    def _photographs(self) -> dict[Photograph, Path]:
        c = self._config
        found = (
            multipie.read_list(_require_path(c.names, "names"), self.root) if c.names else multipie.find_photographs(self.root)
        )
        if not found:
            raise UserError(f"{self.root}: no photograph with a Multi-PIE name (such as 001_01_01_051_07.png) in it")
        return found

    @cached_property
    def _additional(self) -> _AdditionalFiles:
        c = self._config
        fits = multipie.read_fits(_require_path(c.fits, "fits")) if c.fits else None
        meshes = _require_path(c.meshes, "meshes") if c.meshes else None
        textures = _require_path(c.textures, "textures") if c.textures else None
        return _AdditionalFiles(fits, Path(c.fits), meshes, textures, c.image_size)

    def _samples(self, split: str) -> list[list[tuple[Photograph, Path]]]:
        c = self._config
        takes: dict[tuple[str, int], dict[str, tuple[Photograph, Path]]] = {}
        for photograph, file in self._photographs.items():
            if (photograph.subject <= c.last_train) == (split == "train") and self._is_wanted(photograph):
                takes.setdefault((photograph.take, photograph.light), {})[photograph.camera] = (photograph, file)
        complete = [views for views in takes.values() if len(views) == len(c.cameras)]
        return [[views[camera] for camera in c.cameras] for views in complete]

    def _is_wanted(self, photograph: Photograph) -> bool:
        c = self._config
        if c.fits and photograph.name not in (self._additional.fits or {}):
            return False
        has_light = not c.lights or photograph.light in c.lights
        return photograph.camera in c.cameras and has_light and (not c.expressions or photograph.expression in c.expressions)


def _require_path(name: str, field: str) -> Path:
    path = Path(name).expanduser()
    if not path.exists():
        raise UserError(f"{path}: does not exist; it is set as dataset.{field}")
    return path


def _scale_factor(size: tuple[int, ...], side: int, file: Path) -> float:
    if side == 0:
        return 1.0
    if size[0] != size[1]:
        raise UserError(f"{file}: {size[1]} x {size[0]} pixels are not square; crop the faces, or set dataset.image_size=0")
    return side / size[0]


def _resize_image(image: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    if side in (0, image.shape[1]):
        return image
    return resize(image, side, side)


def _collect_fits(
    fits: Mapping[str, Mapping[str, Any]], source: Path, views: list[Photograph], heights: list[int], factors: list[float]
) -> Sample:
    found = [multipie.convert_fit(fits, view.name, height, source) for view, height in zip(views, heights)]
    return {
        "landmarks_68_views": np.stack([fit.landmarks * np.float32(factor) for fit, factor in zip(found, factors)]),
        "affine_cameras": np.stack([fit.affine * factor for fit, factor in zip(found, factors)]),
    }


def _read_models(take: str, additional: _AdditionalFiles) -> Sample:
    sample: Sample = {}
    if additional.meshes is not None:
        obj = read_obj(additional.meshes / f"{take}.obj")
        sample["mesh"] = Mesh(obj.vertices, obj.faces)
    if additional.textures is not None:
        sample["uv_texture"] = read_image(additional.textures / f"{take}.png")
    return sample

"""Samples of generated subjects in several calibrated views, shared by the datasets of heads and bodies."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from deep3dmap.core.dataset import Sample
from deep3dmap.core.files import read_npz, reading
from deep3dmap.core.mesh import Mesh
from deep3dmap.core.reconstruction import read_mesh
from deep3dmap.data.formats.images import read_image
from deep3dmap.data.formats.multiview import read_frames, read_views

REMEDY = "delete the folder and prepare it again"


class SubjectSplit:
    """Folders of subjects as samples: views, cameras, mesh.ply, the arrays of truth.npz, and albedo.png if present.

    keep: number of samples cached in memory.
    """

    def __init__(self, folders: list[Path], albedo_gamma: float, keep: int = 0) -> None:
        self._folders, self._gamma, self._keep = folders, albedo_gamma, keep
        self._kept: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self._folders)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def name(self, index: int) -> str:
        """Return the name of a subject, which identifies the person and the recording."""
        return self._folders[index].name

    def __getitem__(self, index: int) -> Sample:
        """Read subject `index`."""
        if index in self._kept:
            return dict(self._kept[index])
        sample = read_subject(self._folders[index], self._gamma)
        if len(self._kept) < self._keep:
            self._kept[index] = sample
        return dict(sample)


def read_subject(folder: Path, albedo_gamma: float) -> Sample:
    """Read one subject's folder; raises UserError naming the file that is missing or damaged."""
    sample: Sample = dict(read_views(read_frames(folder)))
    sample |= read_npz(folder / "truth.npz", "subject", ("vertices",), remedy=REMEDY)
    mesh = read_mesh(folder / "mesh.ply")
    with reading(folder / "truth.npz", "subject", REMEDY):
        sample["mesh"] = Mesh(sample["vertices"], mesh.faces, mesh.colors)
    if (folder / "albedo.png").is_file():
        sample["albedo_map"] = read_image(folder / "albedo.png") ** np.float32(albedo_gamma)
    return sample

"""Pictures of estimated cameras: their positions next to the true ones, and renderings next to photographs."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from deep3dmap.benchmarks.object_unposed.found_cameras import align_to_truth, estimated_poses
from deep3dmap.core import Reconstruction
from deep3dmap.geometry.pose_alignment import transform_poses
from deep3dmap.render.visualization import contact_sheet, enlarged

SIDES = ((0, 1, "from above: x, y"), (0, 2, "from the side: x, z"))
MIN_SIDE = 128  # minimum height of a picture


def write_pictures(reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
    """Write cameras.png and, if the reconstruction has images, views.png into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [_write_cameras(reconstruction, truth, folder / "cameras.png")]
    if reconstruction.images is not None:
        given = [torch.from_numpy(np.asarray(image)) for image in truth["images"][: len(reconstruction.images)]]
        drawn = [torch.from_numpy(image) for image in reconstruction.images]
        tiles = [(f"given {i}", enlarged(image, MIN_SIDE)) for i, image in enumerate(given)]
        tiles += [(f"rendered {i}", enlarged(image, MIN_SIDE)) for i, image in enumerate(drawn)]
        contact_sheet(tiles, columns=len(given)).save(folder / "views.png")
        files.append(folder / "views.png")
    return files


def _write_cameras(reconstruction: Reconstruction, truth: dict[str, Any], file: Path) -> Path:
    from matplotlib.figure import Figure

    true = np.asarray(truth["world_from_camera"])[:, :3, 3]
    found = transform_poses(align_to_truth(reconstruction, truth), estimated_poses(reconstruction, truth))[:, :3, 3].numpy()
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    for place, (across, up, title) in enumerate(SIDES, 1):
        axes = figure.add_subplot(1, 2, place)
        for start, end in zip(true, found):
            axes.plot([start[across], end[across]], [start[up], end[up]], color="0.8", linewidth=0.8, zorder=1)
        axes.scatter(true[:, across], true[:, up], s=18, color="tab:green", label="true")
        axes.scatter(found[:, across], found[:, up], s=18, marker="x", color="tab:red", label="found, aligned")
        axes.set_title(title)
        axes.set_aspect("equal")
    axes.legend()
    figure.savefig(file, dpi=100, bbox_inches="tight")
    return file

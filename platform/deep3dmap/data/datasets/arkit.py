"""Phone captures: images with ARKit poses, without depth."""

from dataclasses import dataclass
from pathlib import Path

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Sample
from deep3dmap.core.errors import UserError
from deep3dmap.core.options import option
from deep3dmap.data.datasets.posed_scans import CHECK, ScanFolders
from deep3dmap.data.formats import arkit as layout


@dataclass
class ARKitConfig:
    """Location of the captures and reading options."""

    root: str = option("", "folder of one capture (Frames.m4v or images/, Frames.txt, ARposes.txt) or of such folders")
    stride: int = option(1, "read every n-th frame", low=1, high=100)
    max_frames: int = option(0, "read at most this many frames of a capture, 0 = all")
    check: bool = option(True, CHECK)
    camera_height: float = option(1.5, "height of the first camera above the floor in metres", low=0.0, high=3.0)
    recorded_size: list[int] = option([1920, 1440], "width and height in pixels to which the intrinsics in Frames.txt refer")


class ARKit(ScanFolders):
    """Phone captures in the layout of NeuralRecon's demo."""

    card = DatasetCard(
        title="Phone captures with ARKit poses",
        provides=("images", "intrinsics", "world_from_camera"),
        splits=("test",),
        frame="world: z up, the camera starts at camera_height above z = 0",
        unit="metre",
        licence="the user's own",
        source="recorded by the user",
        needs_root=True,
    )
    config_type = ARKitConfig
    name = "arkit"
    holds = "Frames.txt, ARposes.txt and Frames.m4v or images/, or images/ and fragments.pkl"

    @staticmethod
    def is_scan(folder: Path) -> bool:
        """Return whether `folder` itself is a capture."""
        return layout.is_capture(folder)

    def read(self, folder: Path) -> Sample:
        """Open the capture in `folder`."""
        c = self._config
        if len(c.recorded_size) != 2 or min(c.recorded_size) < 1:
            raise UserError(f"dataset.recorded_size must be [width, height] in pixels, got {list(c.recorded_size)}")
        width, height = c.recorded_size
        return layout.read_capture(folder, c.stride, c.max_frames, c.camera_height, (width, height))

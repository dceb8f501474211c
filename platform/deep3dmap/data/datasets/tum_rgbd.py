"""Recordings in the layout of the TUM RGB-D benchmark."""

from dataclasses import dataclass
from pathlib import Path

from deep3dmap.core.card import DatasetCard
from deep3dmap.core.dataset import Sample
from deep3dmap.core.options import option
from deep3dmap.data.datasets.posed_scans import CHECK, SCAN_KEYS, ScanFolders, sample_of
from deep3dmap.data.formats import tum_rgbd as layout


@dataclass
class TUMRGBDConfig:
    """Location of the recordings and reading options."""

    root: str = option("", "folder of one recording (rgb.txt, depth.txt, groundtruth.txt) or a folder of such folders")
    stride: int = option(1, "read every n-th frame", low=1, high=100)
    max_frames: int = option(0, "read at most this many frames of a recording, 0 = all")
    check: bool = option(True, CHECK)
    camera: list[float] = option([], "fx, fy, cx, cy in pixels, integer centres; empty = from the folder's name")


class TUMRGBD(ScanFolders):
    """TUM RGB-D: handheld recordings with motion-capture poses."""

    card = DatasetCard(
        title="TUM RGB-D: handheld recordings with motion-capture poses",
        provides=SCAN_KEYS,
        splits=("test",),
        frame="world of the motion capture system: z up",
        unit="metre",
        licence="CC BY 4.0",
        source="Sturm et al., A Benchmark for the Evaluation of RGB-D SLAM Systems, IROS 2012",
        needs_root=True,
    )
    config_type = TUMRGBDConfig
    name = "tum_rgbd"
    holds = "rgb.txt, depth.txt and groundtruth.txt"

    @staticmethod
    def is_scan(folder: Path) -> bool:
        """Return whether `folder` itself is a recording."""
        return layout.is_scan(folder)

    def read(self, folder: Path) -> Sample:
        """Open the recording in `folder`."""
        c = self._config
        return sample_of(layout.read_scan(folder, c.stride, c.max_frames, c.camera or None))

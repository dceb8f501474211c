"""How a method meets training: the loop's tools and the two base classes."""

from deep3dmap.frameworks.base import BaseFramework, CustomFramework
from deep3dmap.frameworks.host import Host
from deep3dmap.frameworks.loop import LoopSettings, TrainLoop

__all__ = ["BaseFramework", "CustomFramework", "Host", "LoopSettings", "TrainLoop"]

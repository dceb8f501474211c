"""Training interface of methods: the training loop and the two base classes."""

from deep3dmap.frameworks.base import MAIN, BaseFramework, CustomFramework
from deep3dmap.frameworks.host import Host
from deep3dmap.frameworks.loop import LoopSettings, TrainLoop
from deep3dmap.frameworks.sample_noise import sample_generator

__all__ = ["MAIN", "BaseFramework", "CustomFramework", "Host", "LoopSettings", "TrainLoop", "sample_generator"]

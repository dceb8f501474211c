"""Toy methods with faults: they run out of memory, wait for data that never arrive, or are slow."""

import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from toys import Regression, RegressionConfig

from deep3dmap.core import Step
from deep3dmap.core.options import option
from deep3dmap.frameworks import TrainLoop


@dataclass
class AccidentConfig(RegressionConfig):
    """Options that select a fault and when it occurs."""

    delay: float = option(0.0, "seconds every step waits")
    memory_at: int = option(0, "step at which worker 0 exceeds its memory limit (0 = never)")
    hang_at: int = option(0, "how many samples are read before one hangs (0 = never)")
    loader_timeout: float = option(0.0, "seconds a batch may take in this process (0 = the platform's default)")
    mark: str = option("", "file with a line for every start of the training: the step and the number of workers")


class Accident(Regression):
    """A linear regression with a configurable fault."""

    config_type = AccidentConfig
    config: AccidentConfig

    def __init__(self, config: AccidentConfig) -> None:
        super().__init__(config)
        self.read = 0

    def train_steps(self, loop: TrainLoop) -> Iterator[Step]:
        """Train as usual until the fault occurs."""
        if self.config.loader_timeout:
            os.environ["DEEP3DMAP_LOADER_TIMEOUT_S"] = str(self.config.loader_timeout)
        if self.config.mark:
            with Path(self.config.mark).open("a") as stream:
                stream.write(f"{loop.step} {loop.world_size}\n")
        for step in super().train_steps(loop):
            time.sleep(self.config.delay)
            if self.config.memory_at and loop.step + 1 == self.config.memory_at and loop.rank == 0:
                ask_for_too_much()
            yield step

    def transform(self, sample: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
        """Hang for an hour at one sample."""
        self.read += 1
        if self.read == self.config.hang_at:
            time.sleep(3600)
        return super().transform(sample, generator)


def ask_for_too_much() -> None:
    """Limit the memory of this process, and exceed the limit."""
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (in_use + (64 << 20), resource.RLIM_INFINITY))
    try:
        np.ones(256 << 20, np.uint8)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@dataclass
class ChattyConfig(RegressionConfig):
    """Options for output and errors."""

    delay: float = option(0.0, "seconds every step waits")
    raise_at: int = option(0, "step at which an error is raised (0 = never)")
    listening: str = option("", "file for the addresses that this process listens on")


class Chatty(Regression):
    """A linear regression that prints, and optionally raises or records the addresses that its process listens on."""

    config_type = ChattyConfig
    config: ChattyConfig

    def train_steps(self, loop: TrainLoop) -> Iterator[Step]:
        """Train as usual, printing a message."""
        print(f"hello from step {loop.step}")
        for step in super().train_steps(loop):
            time.sleep(self.config.delay)
            if self.config.raise_at and loop.step + 1 == self.config.raise_at:
                raise KeyError("a method's own mistake")
            if self.config.listening and loop.rank == 0:
                Path(self.config.listening).write_text(" ".join(listening()))
            yield step


def listening() -> list[str]:
    """Return the addresses, in the hexadecimal of /proc/net, on which this process listens for TCP."""
    own = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            own.add(os.readlink(descriptor))
        except OSError:
            continue
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
                found.append(fields[1].rpartition(":")[0])
    return found

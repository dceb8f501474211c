"""Time of one fragment by part: `python -m deep3dmap.methods.neuralrecon.profile [--full] [--device cuda] [--rounds 3]`.

Uses random weights. At each level it keeps as many voxels as the paper keeps in training, choosing those nearest to the walls
and the floor of a room, so that the sparse convolutions find as many neighbours as on a real surface. `--full` uses the
paper's sizes. The reported key frame rate is for consecutive fragments, each fused with the history of the same views;
their images are already on the device.
"""

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deep3dmap.config.compose import build_section
from deep3dmap.config.variants import variants
from deep3dmap.core.registry import methods
from deep3dmap.geometry.cameras import look_at
from deep3dmap.methods.neuralrecon.fragments import batch_of, load_views, make_fragment
from deep3dmap.methods.neuralrecon.method import NeuralReconConfig
from deep3dmap.methods.neuralrecon.network import NeuConNet, NeuralReconNetwork
from deep3dmap.methods.neuralrecon.network_output import LevelOutput

Clock = Callable[[], float]


class RandomRoomNet(NeuConNet):
    """Keeps the voxels nearest to the lower faces of the box instead of those predicted as occupied."""

    def _keep(self, output: LevelOutput, level: int, batch: int) -> Tensor:
        distance = output.coordinates[:, 1:].amin(1)
        return distance.argsort()[: self.config.train_num_sample[level]].sort().values


class Stopwatch:
    """Accumulates the time spent in modules and functions, by name."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.spent: dict[str, float] = defaultdict(float)

    def time_module(self, name: str, module: nn.Module) -> None:
        """Time the calls of a module."""
        began: list[float] = []
        module.register_forward_pre_hook(lambda *_: began.append(self.clock()))
        module.register_forward_hook(lambda *_: self._add(name, began.pop()))

    def time_calls(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its calls timed."""

        def timed(*arguments: Any) -> Any:
            began = self.clock()
            found = call(*arguments)
            self._add(name, began)
            return found

        return timed

    def _add(self, name: str, began: float) -> None:
        self.spent[name] += self.clock() - began


def fragment(config: NeuralReconConfig) -> dict[str, Any]:
    """Return one fragment: random images of a room's corner, taken along an arc."""
    width, height = config.image_size
    eyes = [(2.6 + 0.1 * view, 2.9 - 0.1 * view, 1.4) for view in range(config.views)]
    poses = [look_at(eye, (0.8, 0.8, 0.6), (0.0, 0.0, 1.0)).numpy() for eye in eyes]
    intrinsics = np.array([[0.9 * width, 0, width / 2], [0, 0.9 * width, height / 2], [0, 0, 1.0]])
    images = np.random.default_rng(0).uniform(0, 1, (config.views, 3, height, width)).astype(np.float32)
    all_intrinsics = np.repeat(intrinsics[None], config.views, 0)
    views = load_views(images, all_intrinsics, np.stack(poses), list(range(config.views)), config.fragments())
    return make_fragment(views, "room", config.fragments())


def room_network(config: NeuralReconConfig, device: torch.device) -> NeuralReconNetwork:
    """Return a network with random weights that keeps voxels as if it saw a room."""
    torch.manual_seed(0)
    network = NeuralReconNetwork(config.network())
    network.neucon_net = RandomRoomNet(config.network(), network.backbone2d.out_channels)
    return network.eval().to(device)


@torch.no_grad()
def key_frames_per_second(config: NeuralReconConfig, rounds: int, clock: Clock, device: torch.device) -> float:
    """Return the number of views fused into one scene per second, after one warm-up fragment."""
    network, given = room_network(config, device), batch_of([fragment(config)], device)
    network(given)
    began = clock()
    for _ in range(rounds):
        network(given)
    return rounds * config.views / (clock() - began)


def measure(config: NeuralReconConfig, rounds: int, clock: Clock, device: torch.device) -> dict[str, float]:
    """Return the median seconds of a whole fragment (`all`) and of its parts, after one warm-up fragment."""
    network, given = room_network(config, device), batch_of([fragment(config)], device)
    core = network.neucon_net
    stopwatch = Stopwatch(clock)
    stopwatch.time_module("image network", network.backbone2d)
    for level in range(3):
        stopwatch.time_module(f"sparse network, level {level}", core.sp_convs[level])
    stopwatch.time_module("fusion", core.gru_fusion)
    core._lift = stopwatch.time_calls("lifting image features", core._lift)  # type: ignore[method-assign]
    seconds: dict[str, list[float]] = defaultdict(list)
    for turn in range(rounds + 1):
        stopwatch.spent.clear()
        network.reset()
        with torch.no_grad():
            stopwatch.time_calls("all", network)(given)
        for name, spent in stopwatch.spent.items() if turn else ():
            seconds[name].append(spent)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Print the timing table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1, help="with 1 thread CPU time is measured, otherwise wall-clock time")
    parser.add_argument("--full", action="store_true", help="use the paper's sizes instead of the quick variant's")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu or cuda")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    variant = "paper" if options.full else "quick"
    config = build_section(NeuralReconConfig, variants(methods, "neuralrecon")[variant].get("method", {}))
    clock, where = _clock(options.device, options.threads)
    rate = key_frames_per_second(config, options.rounds, clock, options.device)
    seconds = measure(config, options.rounds, clock, options.device)
    whole = seconds.pop("all")
    print(f"variant {variant}, {where}: {rate:.1f} key frames/s; one fragment of {config.views} views takes {whole:.3f} s:")
    seconds["rest"] = whole - sum(seconds.values())
    for name, spent in seconds.items():
        print(f"  {name:28} {spent:7.3f} s  {spent / whole:5.1%}")


def _clock(device: torch.device, threads: int) -> tuple[Clock, str]:
    if device.type != "cuda":
        return time.process_time if threads == 1 else time.perf_counter, f"{threads} thread(s)"

    def synchronised_time() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return synchronised_time, torch.cuda.get_device_name(device)


if __name__ == "__main__":
    main()

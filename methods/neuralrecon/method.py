"""NeuralRecon: incremental reconstruction of a coherent surface from fragments of posed video."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import torch
from torch import Tensor

from deep3dmap.core import Asset, MethodCard, Reconstruction, Step, UserError
from deep3dmap.core.options import option
from deep3dmap.frameworks import CustomFramework, TrainLoop
from deep3dmap.methods.neuralrecon.conv_gru import ResetGate
from deep3dmap.methods.neuralrecon.fragment_stream import FragmentStream
from deep3dmap.methods.neuralrecon.fragments import FragmentConfig, TargetGrid, batch_of
from deep3dmap.methods.neuralrecon.incremental import IncrementalReconstruction
from deep3dmap.methods.neuralrecon.network import NeuralReconNetwork
from deep3dmap.methods.neuralrecon.network_config import DepthScale, NetworkConfig
from deep3dmap.methods.neuralrecon.official_weights import load_official
from deep3dmap.ops.sparse import SparseBackend

NETWORK = "network"


@dataclass
class NeuralReconConfig:
    """Fragments, network and schedule. The defaults follow the paper."""

    n_vox: list[int] = option([96, 96, 96], "size of a fragment's box in finest voxels", valid="[1, inf)", length=3)
    voxel_size: float = option(0.04, "edge of the finest voxels in metres", low=0.02, high=0.16, log=True, valid="(0, inf)")
    floor: float = option(
        -0.2, "height in metres of the bottom of a box, before it is snapped to the grid", valid="(-inf, inf)"
    )
    snap: int = option(8, "boxes begin at multiples of this number of voxels", low=4, high=8, valid="[1, inf)")
    views: int = option(9, "key frames per fragment", low=2, high=16, valid="[2, inf)")
    image_size: list[int] = option(
        [640, 480], "width and height to which frames are resized, multiples of 16", valid="[1, inf)", length=2
    )
    min_angle: float = option(
        15.0, "degrees of rotation that suffice for a new key frame", low=2.0, high=30.0, valid="[0, inf)"
    )
    min_distance: float = option(
        0.1, "metres of translation that suffice for a new key frame", low=0.02, high=0.5, valid="[0, inf)"
    )
    max_depth: float = option(3.0, "depth in metres at which views are cut off", low=1.0, high=6.0, valid="(0, inf)")
    channels: list[int] = option([96, 48, 24], "feature channels per level, coarse to fine", valid="[1, inf)", length=3)
    backbone_alpha: float = option(1.0, "width factor of the image network", low=0.25, high=1.0, valid="(0, inf)")
    backbone_momentum: float = option(
        3e-4, "batch norm momentum of the image network (0.1 when trained from scratch)", valid="(0, 1]"
    )
    sparse_momentum: float = option(
        0.1, "batch norm momentum of the sparse networks", low=1e-3, high=0.3, log=True, valid="(0, 1]"
    )
    joint_views: bool = option(False, "compute the image network's batch statistics over all views at once, faster on CPUs")
    thresholds: list[float] = option(
        [0.0, 0.0, 0.0], "occupancy logit above which a voxel is refined, per level", valid="(-inf, inf)", length=3
    )
    train_voxels: list[int] = option(
        [4096, 16384, 65536], "maximum voxels per fragment in training, per level", valid="[1, inf)", length=3
    )
    fusion: bool = option(True, "fuse features across fragments (GRU); otherwise every fragment is predicted independently")
    fusion_from: float = option(
        0.42, "fraction of the training budget after which fusion begins (paper: epoch 21 of 50)", valid="[0, inf)"
    )
    reset_gate: str = option("intended", "intended, or upstream for the official weights", choices=("intended", "upstream"))
    depth_scale: str = option(
        "norm",
        "divisor of a voxel's depth: norm, as in the official code, or deviation, which works better in short trainings",
        choices=("norm", "deviation"),
    )
    target_grid: str = option(
        "intended",
        "intended, or upstream: targets up to half a voxel off, as in the official code",
        choices=("intended", "upstream"),
    )
    pos_weight: float = option(
        1.5, "weight of occupied voxels, relative to the inverse of their frequency", low=0.5, high=4.0, valid="(0, inf)"
    )
    augment: bool = option(True, "rotate and shift the world in every epoch")
    mirror: bool = option(False, "mirror half of the fragments before fusion begins, as inexpensive additional data")
    keep_gib: float = option(2.0, "GiB of fragments and targets kept in memory", low=0.0, high=64.0, valid="[0, inf)")
    validation_fragments: int = option(24, "maximum number of fragments of the validation split to evaluate", valid="[1, inf)")
    single_layer: bool = option(True, "omit the second surface layer behind the predicted one")
    level: bool = option(True, "level scans whose poses are not z up, and transform the result back")
    colors: bool = option(True, "colour the vertices from the key frames")
    backend: str = option("auto", "backend of the sparse convolutions", choices=get_args(SparseBackend))
    weights: str = option("", "initial weights: shipped, or an official checkpoint (.ckpt)")

    def fragments(self) -> FragmentConfig:
        """Return the fragment settings."""
        (x, y, z), (width, height) = self.n_vox, self.image_size
        if width % 16 or height % 16:
            raise UserError(f"method.image_size={self.image_size}: width and height must be multiples of 16")
        return FragmentConfig(
            (x, y, z), self.voxel_size, self.floor, self.snap, (width, height), self.max_depth, self.views, self.min_angle,
            self.min_distance, cast(TargetGrid, self.target_grid),
        )  # fmt: skip

    def network(self) -> NetworkConfig:
        """Return the network settings."""
        return NetworkConfig(
            n_vox=self.fragments().n_vox,
            voxel_size=self.voxel_size,
            channels=tuple(self.channels),
            backbone_alpha=self.backbone_alpha,
            backbone_momentum=self.backbone_momentum,
            sparse_momentum=self.sparse_momentum,
            joint_views=self.joint_views,
            thresholds=tuple(self.thresholds),
            train_num_sample=tuple(self.train_voxels),
            fusion=self.fusion,
            reset_gate=cast(ResetGate, self.reset_gate),
            depth_scale=cast(DepthScale, self.depth_scale),
            backend=cast(SparseBackend, self.backend),
            pos_weight=self.pos_weight,
        )


class NeuralRecon(CustomFramework):
    """Sun et al., CVPR 2021: sparse coarse-to-fine prediction of a TSDF per fragment, fused over fragments by a GRU.

    Training has two phases (section 4 of the paper's supplement): single fragments first, then whole scenes with fusion. The
    phase and the maps of the scene in progress are part of the state, so a run can resume in the middle of a scene. With
    several workers only the first one's maps are saved, and the other workers' scenes start over after a resume.
    """

    card = MethodCard(
        title="NeuralRecon",
        authors="Jiaming Sun, Yiming Xie, Linghao Chen, Xiaowei Zhou, Hujun Bao",
        year=2021,
        paper="NeuralRecon: Real-Time Coherent 3D Reconstruction from Monocular Video, CVPR 2021",
        tasks=("indoor",),
        consumes=("images", "intrinsics", "world_from_camera"),
        produces=("mesh",),
        trains_on=("images", "depths", "intrinsics", "world_from_camera"),
        licence="Apache-2.0",
        frame="world",
        gauge="metric",
        assets=(
            Asset(
                "official weights", "weights", "Apache-2.0", "the published network", "zju3dv/NeuralRecon (model_000047.ckpt)"
            ),
        ),
    )
    config_type = NeuralReconConfig
    config: NeuralReconConfig
    fusing: Tensor

    def __init__(self, config: NeuralReconConfig) -> None:
        super().__init__(config)
        self.network = NeuralReconNetwork(config.network())
        self.register_buffer("fusing", torch.tensor(False))
        if config.weights:
            cells = load_official(self.network, Path(config.weights).expanduser())
            self.fusing.fill_(cells == "loaded")

    @classmethod
    def trains(cls, config: NeuralReconConfig) -> bool:
        """Return False when weights are given."""
        return not config.weights

    def train_steps(self, loop: TrainLoop) -> Iterator[Step]:
        """Train fragment by fragment and scene by scene; the epoch length is known once the poses have been read."""
        stream = self._stream(loop, loop.dataset, augment=self.config.augment, mirror=self.config.mirror)
        # A step with more fragments than an epoch continues into the next epoch.
        loop.samples_per_epoch = max(len(stream) * loop.world_size, loop.plan.samples_per_step)
        return self._optimise(loop, stream)

    def _optimise(self, loop: TrainLoop, stream: FragmentStream) -> Iterator[Step]:
        network = loop.prepare(self.network)
        loop.optimizer(NETWORK, self.network.parameters())
        loop.average(self.network, after=NETWORK)
        torch.nn.Module.train(self, True)
        size = loop.plan.batch_size
        at = loop.step * loop.plan.micro_batches * size
        while True:
            self._enter_phase(loop)
            self.network.fuse(bool(self.fusing))
            terms: dict[str, Tensor] = {}
            for _ in range(loop.plan.micro_batches):
                with loop.micro_batch(NETWORK):
                    # Independent fragments are shuffled; fragments to be fused are read scene by scene.
                    fragments = [stream.at(index, shuffled=not self.fusing) for index in range(at, at + size)]
                    _add(terms, self._backward(loop, network, fragments), 1 / loop.plan.micro_batches)
                at += size
                updated = loop.update(NETWORK)
            if updated:
                yield Step(torch.stack(list(terms.values())).sum(), terms)

    def _backward(self, loop: TrainLoop, network: torch.nn.Module, fragments: list[dict[str, Any]]) -> dict[str, Tensor]:
        terms = self.network.losses(network(batch_of(fragments, self.device)))
        loop.backward(torch.stack(list(terms.values())).sum())
        return {name: term.detach() for name, term in terms.items()}

    def _enter_phase(self, loop: TrainLoop) -> None:
        if not self.config.fusion or bool(self.fusing):
            return
        if not loop.total_steps and self.config.fusion_from > 0:
            raise UserError("method.fusion_from is a fraction of the budget in steps: set trainer.max_steps= or max_epochs=")
        if loop.step >= self.config.fusion_from * loop.total_steps:
            self.fusing.fill_(True)
            self.network.reset()

    def validate(self, loop: TrainLoop) -> dict[str, float]:
        """Return the mean loss of the first validation fragments, in sequence and without augmentation."""
        if loop.validation is None or not self.config.validation_fragments or len(loop.validation) < loop.world_size:
            return {}
        stream = self._stream(loop, loop.validation, augment=False)
        kept = self.network.map_state()
        sums = {"loss": 0.0, "fragments": 0.0}
        with self._inference(), torch.no_grad():
            for index in range(min(len(stream), self.config.validation_fragments)):
                output = self.network(batch_of([stream[index]], self.device))
                sums["loss"] += sum(float(term) for term in self.network.losses(output).values())
                sums["fragments"] += 1
        self.network.load_map_state(kept)
        sums = loop.sum_over_workers(sums)
        return {"validation_loss": sums["loss"] / sums["fragments"]}

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Predict fragment by fragment and return the surface in the world frame of the poses, in metres."""
        with self._inference(), torch.no_grad():
            return IncrementalReconstruction(self.network, self.config.fragments(), self.device).run(
                given, self.config.level, self.config.single_layer, self.config.colors
            )

    @contextmanager
    def _inference(self) -> Iterator[None]:
        """Evaluate with the running statistics, in the phase of the weights, and with separate scene maps."""
        training = self.training
        torch.nn.Module.train(self, False)
        self.network.fuse(bool(self.fusing))
        self.network.reset()
        yield
        self.network.reset()
        torch.nn.Module.train(self, training)

    def _stream(self, loop: TrainLoop, split: Any, augment: bool, mirror: bool = False) -> FragmentStream:
        config, mapping = self.config.fragments(), loop.settings.inputs
        return FragmentStream(
            split, mapping, config, loop.seed, augment, loop.rank, loop.world_size, int(self.config.keep_gib * 2**30),
            self.device, loop.settings.trainer.loader_workers, mirror,
        )  # fmt: skip

    def rank_state_dict(self) -> dict[str, Any]:
        """Return the maps of the scene in progress, which differs between workers."""
        return self.network.map_state()

    def load_rank_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the maps."""
        self.network.load_map_state(state)


def _add(sums: dict[str, Tensor], terms: Mapping[str, Tensor], share: float) -> None:
    for name, term in terms.items():
        sums[name] = sums.get(name, torch.zeros_like(term)) + term * share

"""The method contract: training is a generator of steps, and inference is a single call on the given inputs.

A method may learn from a dataset (`train_steps`), from the scene to be reconstructed (`fit_steps`), from both, or not at all.
`train_steps` is not named `train` so that a method can also be a `torch.nn.Module`, which defines `train(mode)`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, SupportsFloat, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.card import MethodCard
from deep3dmap.core.errors import UserError
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.core.reconstruction import Reconstruction


@dataclass(frozen=True)
class Step:
    """One step of a method's schedule: the loss, which must stay finite, and optional named terms to log.

    A step may contain several updates of several optimisers; budgets, schedules and curves count steps.
    """

    loss: SupportsFloat
    terms: Mapping[str, SupportsFloat] = field(default_factory=dict)


@dataclass(frozen=True)
class Views:
    """Renderings of a scene from given cameras. images: (V, 3, H, W) RGB in [0, 1]. depth: (V, H, W), 0 = no surface."""

    images: NDArray[np.float32]
    depth: NDArray[np.float32] | None = None


class Method(ABC):
    """A reconstruction method, constructed as `Cls(config)`, where `config` is an instance of `Cls.config_type`.

    A method with its own schedule must include the current phase in `state_dict`: when a run resumes, its generator is
    restarted, with `loop.step` set to the number of completed steps.
    """

    card: ClassVar[MethodCard]
    config_type: ClassVar[type]
    config: Any

    @classmethod
    def trains(cls, config: Any) -> bool:
        """Return whether a method with this configuration must be trained on a dataset before it can reconstruct."""
        return bool(cls.card.trains_on)

    @classmethod
    def fits(cls) -> bool:
        """Return whether the method is optimised on each scene that it reconstructs."""
        return cls.fit_steps is not Method.fit_steps

    def train_steps(self, loop: Any) -> Iterator[Step]:
        """Train on a dataset, once per run. `loop` is a `deep3dmap.frameworks.TrainLoop`. The default does not train."""
        return iter(())

    def fit_steps(self, given: dict[str, Any], loop: Any) -> Iterator[Step]:
        """Optimise on one scene, before `reconstruct(given)` is called for it. The default does not optimise.

        Every scene starts from the state after training, regardless of the scenes before it. Everything that is optimised
        must be part of `state_dict`, so that an interrupted fit can resume.
        """
        return iter(())

    @abstractmethod
    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Reconstruct from the keys in `card.consumes`, and those in `card.optional` that are given, but never ground truth.

        Called with gradients disabled.
        """

    def details(self, reconstruction: Reconstruction, given: dict[str, Any]) -> Reconstruction:
        """Return the reconstruction with extra parts to save and show but not score, such as textures (default: none)."""
        return reconstruction

    def state_dict(self) -> dict[str, Any]:
        """Return weights and phase as plain data and tensors; the loop saves its own optimisers and weight averages."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Restore the state returned by `state_dict`."""
        if state:
            raise ValueError(f"{type(self).__name__} has no state, got {sorted(state)[:3]}")
        return None

    def rank_state_dict(self) -> dict[str, Any]:
        """Return the state specific to this worker among several, such as its current scene. Empty by default."""
        return {}

    def load_rank_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state returned by `rank_state_dict` on the worker with the same rank."""
        if state:
            raise ValueError(f"{type(self).__name__} has no per-worker state, got {sorted(state)[:3]}")

    def take_parts(self, method: str, state: dict[str, Any]) -> None:
        """Initialise from the state of a run of another `method`, loading the parts that this method can use.

        Raises UserError if this method cannot use any part of it, which is the default.
        """
        raise UserError(f"{type(self).__name__} cannot start from a run of '{method}'")


@runtime_checkable
class RendersViews(Protocol):
    """A method whose card lists "views" in `produces`."""

    def render(self, cameras: Sequence[Camera]) -> Views:
        """Render the most recently reconstructed scene from `cameras`, given in the frame of that reconstruction."""
        ...


@runtime_checkable
class Generates(Protocol):
    """A method whose card lists "samples" in `produces`."""

    def generate(self, indices: range, seed: int, **controls: Any) -> Any:
        """Return a (len(indices), 3, H, W) tensor of RGB in [0, 1]; each image depends only on its index and the seed."""
        ...

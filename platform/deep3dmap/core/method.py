"""The method contract: learning is a generator of steps, inference is one call on what is given.

A method may learn from a dataset (`train_steps`), from the scene in hand (`fit_steps`), from both or not at all. The first is
not called `train`, so that a method may also be a `torch.nn.Module`, whose `train(mode)` keeps its meaning.
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
    """One turn of a method's schedule: the scalar that must stay finite, and any other curve values.

    A turn may hold several updates of several optimisers; budgets, schedules and curves count turns.
    """

    loss: SupportsFloat
    terms: Mapping[str, SupportsFloat] = field(default_factory=dict)


@dataclass(frozen=True)
class Views:
    """Renderings of a scene from given cameras. images: (V, 3, H, W) RGB in [0, 1]. depth: (V, H, W), 0 = nothing there."""

    images: NDArray[np.float32]
    depth: NDArray[np.float32] | None = None


class Method(ABC):
    """A reconstruction method. Built as `Cls(config)`, where `config` is an instance of `Cls.config_type`.

    A method that keeps a schedule of its own puts the phase it is in into `state_dict`: after a resume its generator is
    entered anew, with `loop.step` at the number of turns already taken.
    """

    card: ClassVar[MethodCard]
    config_type: ClassVar[type]
    config: Any

    @classmethod
    def trains(cls, config: Any) -> bool:
        """Whether a method configured like this learns from a dataset before it can reconstruct."""
        return bool(cls.card.trains_on)

    @classmethod
    def fits(cls) -> bool:
        """Whether the method learns from each scene that it reconstructs."""
        return cls.fit_steps is not Method.fit_steps

    def train_steps(self, loop: Any) -> Iterator[Step]:
        """Learn from a dataset, once per run. `loop` is a `deep3dmap.frameworks.TrainLoop`. The default learns nothing."""
        return iter(())

    def fit_steps(self, given: dict[str, Any], loop: Any) -> Iterator[Step]:
        """Learn from one scene, before `reconstruct(given)` is asked for it. The default learns nothing.

        Every scene begins at the state the method had after training, whichever scenes came before it. Whatever is optimised
        belongs to `state_dict`, so that a fit that was interrupted goes on where it was.
        """
        return iter(())

    @abstractmethod
    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Reconstruct from the keys of `card.consumes`; ground truth is never among them. Called without gradients."""

    def details(self, reconstruction: Reconstruction, given: dict[str, Any]) -> Reconstruction:
        """Return the reconstruction with what is kept and shown but not scored, such as textures. The default adds nothing."""
        return reconstruction

    def state_dict(self) -> dict[str, Any]:
        """Return weights and phase as plain data and tensors; the loop saves the optimisers and averages it made."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Take back what `state_dict` returned."""
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state, got {sorted(state)[:3]}")
        return None

    def rank_state_dict(self) -> dict[str, Any]:
        """Return what one of several workers knows and the others do not, such as the scene it is in. The default has none."""
        return {}

    def load_rank_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what the worker of the same rank returned from `rank_state_dict`."""
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state of single workers, got {sorted(state)[:3]}")

    def take_parts(self, method: str, state: dict[str, Any]) -> None:
        """Start from the state of a run of another `method`: take the parts of it that this method can use.

        Raises UserError where the method takes none from there, which is the default.
        """
        raise UserError(f"{type(self).__name__} takes no parts from a run of '{method}'")


@runtime_checkable
class RendersViews(Protocol):
    """A method whose card's `produces` names "views"."""

    def render(self, cameras: Sequence[Camera]) -> Views:
        """Render the scene reconstructed last from `cameras`, which are in the frame of that reconstruction."""
        ...


@runtime_checkable
class Generates(Protocol):
    """A method whose card's `produces` names "samples"."""

    def generate(self, indices: range, seed: int, **controls: Any) -> Any:
        """Return a tensor (len(indices), 3, H, W) of RGB in [0, 1]; the same index and seed give the same image."""
        ...

"""The method contract: training is a generator of steps, inference is one call on what is given.

`train_steps` is not called `train`, so that a method may also be a `torch.nn.Module`, whose `train(mode)` keeps its meaning.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, SupportsFloat

from deep3dmap.core.card import MethodCard
from deep3dmap.core.reconstruction import Reconstruction


@dataclass(frozen=True)
class Step:
    """What one optimisation step says: the scalar that must stay finite, and any other curve values."""

    loss: SupportsFloat
    terms: Mapping[str, SupportsFloat] = field(default_factory=dict)


class Method(ABC):
    """A reconstruction method. Built as `Cls(config)`, where `config` is an instance of `Cls.config_type`.

    A method that keeps a schedule of its own puts the phase it is in into `state_dict`: after a resume `train_steps` is
    entered anew, with `loop.step` at the number of steps already taken.
    """

    card: ClassVar[MethodCard]
    config_type: ClassVar[type]
    config: Any

    @property
    def needs_training(self) -> bool:
        """Whether it must be trained before it can reconstruct, configured as it is."""
        return bool(self.card.trains_on)

    def train_steps(self, loop: Any) -> Iterator[Step]:
        """Yield after every optimisation step. `loop` is a `deep3dmap.frameworks.TrainLoop`. The default learns nothing."""
        return iter(())

    @abstractmethod
    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Reconstruct from the keys of `card.consumes`; ground truth is never among them."""

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

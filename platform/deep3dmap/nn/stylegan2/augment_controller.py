"""Adapts the augmentation probability to discriminator overfitting during training (Karras et al., NeurIPS 2020)."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class AugmentController:
    """Increases p while the mean sign of the logits of real images is above `target`, and decreases it while below.

    interval: number of updates between changes. ramp: number of images over which p may go from 0 to 1. The state consists of
    plain numbers.
    """

    target: float = 0.6
    interval: int = 8
    ramp: int = 500_000
    probability: float = 0.0
    overfitting: float = 0.0
    _signs: float = field(default=0.0, repr=False)
    _pictures: int = field(default=0, repr=False)
    _updates: int = field(default=0, repr=False)

    def update(self, real_logits: Tensor) -> None:
        """Record the logits (N, 1) of the real images of one step."""
        self._signs += float(real_logits.detach().sign().sum())
        self._pictures += len(real_logits)
        self._updates += 1
        if self._updates < self.interval:
            return
        self.overfitting = self._signs / max(self._pictures, 1)
        direction = (self.overfitting > self.target) - (self.overfitting < self.target)
        self.probability = min(max(self.probability + direction * self._pictures / self.ramp, 0.0), 1.0)
        self._signs, self._pictures, self._updates = 0.0, 0, 0

    def state_dict(self) -> dict[str, float]:
        """Return the state needed to resume training."""
        names = ("probability", "overfitting", "_signs", "_pictures", "_updates")
        return {name.lstrip("_"): getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Restore the state returned by `state_dict`."""
        self.probability, self.overfitting, self._signs = state["probability"], state["overfitting"], state["signs"]
        self._pictures, self._updates = int(state["pictures"]), int(state["updates"])

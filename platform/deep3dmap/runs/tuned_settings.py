"""Settings found by a sweep, for a benchmark that compares tuned and untuned methods."""

from dataclasses import dataclass

from deep3dmap.config.compose import ComposedRun, Layer


@dataclass(frozen=True)
class TunedSettings:
    """Settings found by a sweep. method: NAME/VARIANT. dataset: the scored dataset that they apply to, "" = any."""

    method: str
    layer: Layer
    dataset: str = ""

    def is_for(self, composed: ComposedRun) -> bool:
        """Return whether these settings apply to a run."""
        return self.method == f"{composed.method}/{composed.variant}" and self.dataset in ("", composed.dataset)

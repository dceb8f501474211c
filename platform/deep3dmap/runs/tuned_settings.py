"""Settings that a sweep found, for a benchmark that shows a method tuned and untuned."""

from dataclasses import dataclass

from deep3dmap.config.compose import ComposedRun, Layer


@dataclass(frozen=True)
class TunedSettings:
    """Settings that a sweep found. method: NAME/VARIANT. dataset: the scored one they are for, "" for any."""

    method: str
    layer: Layer
    dataset: str = ""

    def is_for(self, composed: ComposedRun) -> bool:
        """Whether a run has a row with these settings."""
        return self.method == f"{composed.method}/{composed.variant}" and self.dataset in ("", composed.dataset)

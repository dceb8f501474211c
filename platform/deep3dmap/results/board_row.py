"""One row of a leaderboard."""

from collections.abc import Sequence
from dataclasses import dataclass

from deep3dmap.results.entries import Group


@dataclass(frozen=True)
class LeaderboardRow:
    """One entry under one metric.

    value: mean over scenes and seeds; None if no run finished or a value is not finite. low, high: its 95 % interval.
    median: over scenes. interquartile_mean: over scenes and seeds. optimality_gap: mean distance to the best entry's value on
    each scene. seconds: training, fitting and reconstruction, mean over seeds; reconstruct_s, fit_s: mean per scene.
    parameters: of the trained network. scenes, all_scenes: number of scenes scored and in total. is_provisional: fewer than
    three seeds. is_cut_short: its runs reached a time limit; such a row is listed separately, without a rank. run_ids: the
    runs it aggregates. failed: number of failed runs, excluding stopped and interrupted ones. error: why there is no
    value, else the status and last error line of the newest run that is not ok. rank: within the group, from 1; entries that
    are not significantly different share one.

    Compared with the first row, on the scenes that both have: difference with its 95 % interval, p_value (adjusted over all
    pairs of the group), effect_size (Cohen's d), probability_better (probability of beating the first row on a scene with one
    seed), smallest_gap (smallest true difference that this design detects with a probability of 80 %).
    """

    suite: str
    protocol_version: int
    tier: str
    dataset: str
    dataset_variant: str
    dataset_version: str
    method: str
    variant: str
    is_baseline: bool
    inputs: tuple[str, ...]
    metric: str
    unit: str
    better: str
    value: float | None
    low: float | None
    high: float | None
    median: float | None
    interquartile_mean: float | None
    optimality_gap: float | None
    seeds: int
    is_provisional: bool
    scenes: int
    all_scenes: int
    missing_scenes: tuple[str, ...]
    train_s: float | None
    fit_s: float | None
    reconstruct_s: float | None
    seconds: float | None
    steps: int | None
    peak_ram_mb: float | None
    peak_gpu_mb: float | None
    parameters: int | None
    failed: int
    error: str = ""
    note: str = ""
    is_cut_short: bool = False
    run_ids: tuple[str, ...] = ()
    rank: int | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p_value: float | None = None
    effect_size: float | None = None
    probability_better: float | None = None
    smallest_gap: float | None = None
    on_pareto_front: bool = False

    @property
    def group(self) -> Group:
        """The group of comparable rows that this row belongs to."""
        return Group(**{name: getattr(self, name) for name in Group.__dataclass_fields__})

    @property
    def given(self) -> str:
        """The inputs in words; intrinsics together with poses are shown as "poses"."""
        return describe_inputs(self.inputs)

    @property
    def coverage(self) -> str:
        """Number of scenes that were scored, such as "8", or "7/8" if some are missing."""
        return f"{self.scenes}/{self.all_scenes}" if self.missing_scenes else str(self.scenes)


def describe_inputs(inputs: Sequence[str]) -> str:
    """Return a method's input keys as a short list, such as "images, depths, poses"."""
    posed = "world_from_camera" in inputs
    kept = [key for key in inputs if not (posed and key == "intrinsics")]
    return ", ".join("poses" if key == "world_from_camera" else key for key in kept)

"""The loss curve of a run, to compare runs that must be equal."""

from pathlib import Path

from deep3dmap.train.curve_writer import read_curves


def loss_curve(folder: Path) -> list[tuple[int, float]]:
    """Return (step, loss) for every logged step of the run in a folder."""
    return [(row["step"], row["value"]) for row in read_curves(folder / "curves.jsonl") if row["name"] == "loss"]

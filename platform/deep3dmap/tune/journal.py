"""The journal of a sweep: one line per event, written by the driver before it acts, so that the sweep survives the driver."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deep3dmap.results.schema import STATUSES


@dataclass
class TrialRecord:
    """The known facts about one trial. values: its point in the search space. evaluations: its reports, oldest first."""

    number: int
    values: dict[str, Any]
    is_default: bool = False
    status: str = "pending"
    error: str = ""
    evaluations: list[dict[str, float]] = field(default_factory=list)

    @property
    def has_ended(self) -> bool:
        """Whether the trial has ended, with whatever status."""
        return self.status in STATUSES

    @property
    def chosen(self) -> dict[str, float]:
        """The decisive evaluation: the one with the lowest validation loss, whose checkpoint a run keeps; else the last one."""
        scored = [e for e in self.evaluations if math.isfinite(e.get("validation_loss", math.nan))]
        if scored:
            return min(scored, key=lambda e: e["validation_loss"])
        return self.evaluations[-1] if self.evaluations else {}

    @property
    def seconds(self) -> float:
        """Seconds of training so far."""
        return max((e.get("seconds", 0.0) for e in self.evaluations), default=0.0)


@dataclass
class SweepState:
    """All trials of a sweep, rebuilt from the journal. spent: duration of the sweep in seconds. finish: why it ended."""

    trials: dict[int, TrialRecord] = field(default_factory=dict)
    spent: float = 0.0
    finish: str = ""

    def apply(self, event: Mapping[str, Any]) -> None:
        """Apply one event."""
        self.spent = max(self.spent, float(event.get("at", 0.0)))
        kind = event["kind"]
        if kind == "finish":
            self.finish = event["reason"]
            return
        number = int(event["trial"])
        if kind == "created":
            self.trials[number] = TrialRecord(number, dict(event["values"]), bool(event.get("default")))
            return
        record = self.trials[number]
        if kind == "started":
            record.status = "running"
        elif kind == "changed":
            record.values = dict(event["values"])
        elif kind == "evaluated":
            # A trial resumed from a checkpoint repeats the reports made after that checkpoint.
            step = event["metrics"].get("step", math.inf)
            record.evaluations = [e for e in record.evaluations if e.get("step", -1) < step]
            record.evaluations.append(dict(event["metrics"]))
        elif kind == "ended":
            record.status, record.error = event["status"], event.get("error", "")

    @property
    def ended(self) -> list[TrialRecord]:
        """Trials that have ended, by number."""
        return [record for _, record in sorted(self.trials.items()) if record.has_ended]

    @property
    def unfinished(self) -> list[TrialRecord]:
        """Trials that have been created but have not ended, by number."""
        return [record for _, record in sorted(self.trials.items()) if not record.has_ended]


class Journal:
    """Appends events to a file and applies them to a state. Lines truncated by a crash are skipped when reading."""

    def __init__(self, file: Path) -> None:
        self.file, self.state = file, SweepState()
        file.parent.mkdir(parents=True, exist_ok=True)
        for event in read_events(file):
            self.state.apply(event)
        # An event appended to an incomplete line would be lost with it.
        text = file.read_bytes() if file.is_file() else b""
        if text and not text.endswith(b"\n"):
            with file.open("ab") as stream:
                stream.write(b"\n")

    def write(self, kind: str, trial: int | None = None, **about: Any) -> None:
        """Append one event durably and apply it to the state."""
        event = {"kind": kind, **({} if trial is None else {"trial": trial}), **about}
        with self.file.open("a") as stream:
            stream.write(json.dumps(event) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self.state.apply(event)


def read_events(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the complete events of a journal."""
    if not file.is_file():
        return
    for line in file.read_text(errors="replace").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue

"""The output of a worker, stored in files and shown by the command that waits for it."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from deep3dmap.train.progress import PROGRESS_FILE, ProgressLine

if TYPE_CHECKING:
    from deep3dmap.train.job import TrainingJob

OUTPUT, PROGRESS = "output.log", "progress.txt"


def output_folder(job: "TrainingJob") -> Path:
    """Return the folder of the workers' output, next to the job's checkpoints."""
    return Path(job.folder) / "output"


def write_into(folder: Path, rank: int) -> None:
    """Redirect the output of this process to a file in `folder`; rank 0 also writes its progress there."""
    folder.mkdir(parents=True, exist_ok=True)
    name = OUTPUT if rank == 0 else f"output_{rank}.log"
    # Append, because a restarted worker continues the output of its predecessor.
    file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    # The streams may belong to an embedding framework, and the output must be line-buffered.
    sys.stdout = os.fdopen(os.dup(1), "w", buffering=1)
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    if rank == 0:
        os.environ[PROGRESS_FILE] = str(folder / PROGRESS)
    else:
        # Inherited from the process that directs the workers.
        os.environ.pop(PROGRESS_FILE, None)


class Transcript:
    """Reads and shows the output of a worker. heard: whether it has reported any progress; stage: its last progress text."""

    def __init__(self, folder: Path, line: ProgressLine) -> None:
        self.folder, self.line = folder, line
        self.heard, self.stage = False, ""
        self._read = self._size(folder / OUTPUT)
        self._partial = b""
        self._progress_before = self._progress()

    def show_new(self) -> None:
        """Show the output since the last call."""
        new = self._new_output()
        lines = (self._partial + new).split(b"\n")
        self._partial = lines.pop()
        if lines:
            self.line.say(b"\n".join(lines).decode(errors="replace"))
        progress = self._progress()
        self.heard = self.heard or progress != self._progress_before
        if self.heard:
            self.stage = progress[0]
            self.line.show(self.stage)

    def close(self) -> None:
        """Show the remaining output, including an unterminated last line."""
        self.show_new()
        if self._partial:
            self.line.say(self._partial.decode(errors="replace"))
            self._partial = b""
        self.line.close()

    def _new_output(self) -> bytes:
        try:
            with (self.folder / OUTPUT).open("rb") as stream:
                stream.seek(self._read)
                new = stream.read()
        except OSError:
            return b""
        self._read += len(new)
        return new

    def _progress(self) -> tuple[str, int]:
        file = self.folder / PROGRESS
        try:
            return file.read_text(), file.stat().st_mtime_ns
        except OSError:
            return "", 0

    @staticmethod
    def _size(file: Path) -> int:
        try:
            return file.stat().st_size
        except OSError:
            return 0

"""The processes of a Ray that this process has started: which are missing, stopped or gone, and what their logs say last."""

import re
from pathlib import Path

from deep3dmap.train.processes import STOPPED, command, descendants, state

# In the order in which they start: what each is called, and what its command line holds.
PARTS = {
    "GCS (its store of who is where)": "gcs/gcs_server",
    "dashboard": "dashboard/dashboard.py",
    "raylet (its node)": "raylet/raylet",
    "agent": "dashboard/agent.py",
    "runtime environment agent": "runtime_env/agent/main.py",
}
# Without these nothing goes on, and Ray itself takes minutes to say so. The log that each writes its errors to.
VITAL = {"GCS (its store of who is where)": "gcs_server.err", "raylet (its node)": "raylet.err"}
_LAST_LINES = 12
_LOG_FOLDER = re.compile(r"--log_dir=(\S+)")


class RayHealth:
    """Looks at Ray's processes. logs: the folder that Ray writes to, or None before it is known."""

    def __init__(self, logs: Path | None = None) -> None:
        self.logs = logs
        # The folder of logs that each vital process was started with, None where its command line names none.
        self._seen: dict[str, Path | None] = {}

    def lost(self) -> str:
        """Return which vital process was there and is gone, with the last lines of its errors if any, "" where none is."""
        commands = self._commands()
        gone = next((part for part in VITAL if part in self._seen and part not in commands), None)
        if gone:
            logs = self._seen[gone] or self.logs
            words = _last_lines(logs / VITAL[gone]) if logs else ""
            return f"Ray's {gone} has ended{words and f'; its last words {words}'}"
        self._seen |= {part: _log_folder(commands[part]) for part in VITAL if part in commands}
        return ""

    def waits_for(self) -> str:
        """Return in words which processes are stopped or not there, and the last lines of a worker that wrote any."""
        there = self._there()
        troubles = [f"Ray's {part} is stopped" for part, how in there.items() if how == STOPPED]
        troubles += [f"Ray's {part} is not running" for part in PARTS if part not in there]
        words = last_words(self.logs) if self.logs else ""
        return "; ".join(troubles + ([words] if words else []))

    def stopped(self) -> str:
        """Return which vital process is stopped, "" where none is."""
        there = self._there()
        return next((f"Ray's {part} is stopped" for part in VITAL if there.get(part) == STOPPED), "")

    @staticmethod
    def _commands() -> dict[str, str]:
        """Return {part: command line} of the parts that run below this process."""
        lines = [command(process) for process in descendants()]
        found = {part: next((line for line in lines if text in line), "") for part, text in PARTS.items()}
        return {part: line for part, line in found.items() if line}

    @staticmethod
    def _there() -> dict[str, str]:
        """Return {part: state} of the parts that run below this process."""
        lines = [(command(process), state(process)) for process in descendants()]
        found = {}
        for part, text in PARTS.items():
            # Several processes may have it in their line, as one hands it to the next.
            states = [how for line, how in lines if text in line]
            if states:
                found[part] = STOPPED if STOPPED in states else states[0]
        return found


def last_words(logs: Path) -> str:
    """Return the last lines that a worker of Ray wrote to its errors, "" where none did."""
    files = sorted(logs.glob("worker-*.err"), key=lambda file: file.stat().st_mtime)
    # Where workers write that end before they are known to Ray; it is empty otherwise.
    files += logs.glob("raylet.err")
    return next((f"a worker's last words {words}" for file in reversed(files) if (words := _last_lines(file))), "")


def _last_lines(file: Path) -> str:
    """Return the last lines of a log under its name, "" where it is empty or missing."""
    try:
        written = file.read_bytes()[-8192:].decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    # Lines such as ":job_id:01000000" are Ray's own.
    lines = [line for line in written if not line.startswith(":")]
    return f"({file}):\n" + "\n".join(lines[-_LAST_LINES:]) if lines else ""


def _log_folder(command_line: str) -> Path | None:
    found = _LOG_FOLDER.search(command_line)
    return Path(found[1]) if found else None

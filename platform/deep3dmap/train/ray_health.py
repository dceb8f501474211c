"""Health of the Ray processes started by this process: which are missing, stopped or gone, and the end of their logs."""

import re
from pathlib import Path

from deep3dmap.train.processes import STOPPED, command, descendants, state

# In the order in which they start: the name of each process, and a part of its command line.
PARTS = {
    "GCS (its global control service)": "gcs/gcs_server",
    "dashboard": "dashboard/dashboard.py",
    "raylet (its node manager)": "raylet/raylet",
    "agent": "dashboard/agent.py",
    "runtime environment agent": "runtime_env/agent/main.py",
}
# Nothing works without these processes, and Ray itself takes minutes to report it. The values are their error logs.
VITAL = {"GCS (its global control service)": "gcs_server.err", "raylet (its node manager)": "raylet.err"}
_LAST_LINES = 12
_LOG_FOLDER = re.compile(r"--log_dir=(\S+)")


class RayHealth:
    """Inspects Ray's processes. logs: Ray's log folder, or None before it is known."""

    def __init__(self, logs: Path | None = None) -> None:
        self.logs = logs
        # The log folder in the command line of each vital process, None if there is none.
        self._seen: dict[str, Path | None] = {}

    def lost(self) -> str:
        """Return which vital process has disappeared, with the last lines of its error log if any, or "" if none has."""
        commands = self._commands()
        lost_part = next((part for part in VITAL if part in self._seen and part not in commands), None)
        if lost_part:
            logs = self._seen[lost_part] or self.logs
            output = _last_lines(logs / VITAL[lost_part]) if logs else ""
            return f"Ray's {lost_part} has ended{output and f'; its last output {output}'}"
        self._seen |= {part: _log_folder(commands[part]) for part in VITAL if part in commands}
        return ""

    def describe_delay(self) -> str:
        """Return a description of the processes that are stopped or missing, and the last error output of a worker, if any."""
        running = self._running_parts()
        problems = [f"Ray's {part} is stopped" for part, status in running.items() if status == STOPPED]
        problems += [f"Ray's {part} is not running" for part in PARTS if part not in running]
        output = last_worker_output(self.logs) if self.logs else ""
        return "; ".join(problems + ([output] if output else []))

    def stopped(self) -> str:
        """Return which vital process is stopped, or "" if none is."""
        running = self._running_parts()
        return next((f"Ray's {part} is stopped" for part in VITAL if running.get(part) == STOPPED), "")

    @staticmethod
    def _commands() -> dict[str, str]:
        """Return {part: command line} of the parts that run as descendants of this process."""
        lines = [command(process) for process in descendants()]
        found = {part: next((line for line in lines if text in line), "") for part, text in PARTS.items()}
        return {part: line for part, line in found.items() if line}

    @staticmethod
    def _running_parts() -> dict[str, str]:
        """Return {part: state} of the parts that run as descendants of this process."""
        lines = [(command(process), state(process)) for process in descendants()]
        found = {}
        for part, text in PARTS.items():
            # Several processes may have the same command line, as a parent passes it to its child.
            states = [status for line, status in lines if text in line]
            if states:
                found[part] = STOPPED if STOPPED in states else states[0]
        return found


def last_worker_output(logs: Path) -> str:
    """Return the last lines of a Ray worker's error output, or "" if there is none."""
    files = sorted(logs.glob("worker-*.err"), key=lambda file: file.stat().st_mtime)
    # Contains the output of workers that end before they have registered with Ray; empty otherwise.
    files += logs.glob("raylet.err")
    return next((f"a worker's last output {lines}" for file in reversed(files) if (lines := _last_lines(file))), "")


def _last_lines(file: Path) -> str:
    """Return the name of a log with its last lines, or "" if it is empty or missing."""
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

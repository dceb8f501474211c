"""The processes of a Ray that this process has started: which are missing, stopped or gone, and what their logs say last."""

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
# Without these nothing goes on, and Ray itself takes minutes to say so.
VITAL = ("GCS (its store of who is where)", "raylet (its node)")
_LAST_LINES = 12


class RayHealth:
    """Looks at Ray's processes. logs: the folder that Ray writes to, or None before it is known."""

    def __init__(self, logs: Path | None = None) -> None:
        self.logs = logs
        self._seen: set[str] = set()

    def lost(self) -> str:
        """Return which vital process was there and is gone, "" where none is."""
        there = self._there()
        gone = [part for part in VITAL if part in self._seen and part not in there]
        self._seen |= set(there)
        return f"Ray's {gone[0]} has ended" if gone else ""

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
    for file in reversed(files):
        written = file.read_bytes()[-8192:].decode(errors="replace").strip().splitlines()
        # Lines such as ":job_id:01000000" are Ray's own.
        if lines := [line for line in written if not line.startswith(":")]:
            return f"a worker's last words ({file}):\n" + "\n".join(lines[-_LAST_LINES:])
    return ""

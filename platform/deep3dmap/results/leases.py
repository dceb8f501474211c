"""Leases on runs in progress, so that two drivers on one store never work on the same run.

A lease is a file that its owner rewrites while it works. It expires if it is not rewritten in time, after which any other
process may take it over. Ages are measured by the storage's clock, never by a writer's. In a local folder, leases are granted
under a file lock; object storage has no locks, so every process writes its request, waits until all requests are visible, and
the smallest token wins.
"""

import contextlib
import fcntl
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from deep3dmap.core.errors import UserError
from deep3dmap.results.attempt_numbers import check_id
from deep3dmap.results.storage import Storage

FOLDER = "leases"
LIFETIME_S = 120.0
# Longer than it takes for a write to become visible to all.
SETTLING_S = 2.0


@dataclass(frozen=True)
class Owner:
    """The process that holds or requests a lease.

    token: unique. is_held: whether the lease has been granted. process: identifies the process and its machine, "" where the
    kernel does not provide this information.
    """

    token: str
    host: str
    pid: int
    is_held: bool = False
    process: str = ""

    def has_ended(self) -> bool:
        """Return whether the owner was a process on this machine that has ended, so its lease can be taken over at once."""
        mine = _process(os.getpid())
        return bool(self.process and mine) and _machine(self.process) == _machine(mine) and _process(self.pid) != self.process

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass
class Lease:
    """The runs that this process may work on, kept alive by a thread until `release` or the end of a `with` block.

    held: ids of the leased runs. refused: {run id: owner working on it}. lost: runs that another process took over.
    """

    storage: Storage
    owner: Owner
    held: set[str]
    refused: dict[str, Owner]
    lifetime_s: float
    lost: set[str] = field(default_factory=set)
    _renewed_s: dict[str, float] = field(default_factory=dict)
    _released: threading.Event = field(default_factory=threading.Event)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __enter__(self) -> "Lease":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self, run_ids: Iterable[str] | None = None) -> None:
        """Release some runs, by default all."""
        with self._lock:
            released = set(self.held if run_ids is None else run_ids) & self.held
            self.held -= released
            if not self.held:
                self._released.set()
            for run_id in released:
                self.storage.remove(_name(run_id, self.owner.token))

    def describe_lost_runs(self) -> str:
        """Return a message naming the runs that another process took over, "" if there are none."""
        if not self.lost:
            return ""
        runs = f"run{'s' if len(self.lost) > 1 else ''} {', '.join(sorted(self.lost))}"
        reason = f"the lease of this process was not renewed within {self.lifetime_s:g} s"
        return f"another process took over {runs} because {reason}; both have written attempts"

    def renew_all(self) -> None:
        """Renew the lease once; runs that another process has taken over in the meantime are marked as lost."""
        with self._lock:
            tokens = _tokens(self.storage)
            for run_id in sorted(self.held):
                late = _clock_s() - self._renewed_s[run_id] > self.lifetime_s
                others = [
                    other
                    for other in _find_live_owners(self.storage, run_id, tokens, self.owner, self.lifetime_s)
                    if other.is_held
                ]
                if self.owner.token not in tokens.get(run_id, ()) or (
                    others and (late or min(others, key=_by_token).token < self.owner.token)
                ):
                    self.lost.add(run_id)
                    self.release([run_id])
                else:
                    self.renew(run_id)

    def renew(self, run_id: str) -> None:
        """Rewrite the lease file of one run."""
        self.storage.write(_name(run_id, self.owner.token), _encode_owner(self.owner))
        self._renewed_s[run_id] = _clock_s()

    def start_renewing(self) -> None:
        """Start the thread that renews the lease."""
        threading.Thread(target=self._renew_until_released, name="lease", daemon=True).start()

    def _renew_until_released(self) -> None:
        while not self._released.wait(self.lifetime_s / 5):
            # Tolerate temporary storage failures: the lease survives a few missed renewals.
            with contextlib.suppress(UserError, OSError):
                self.renew_all()


def acquire_lease(
    storage: Storage, run_ids: Iterable[str], lifetime_s: float = LIFETIME_S, settling_s: float | None = None
) -> Lease:
    """Lease those of the given runs that are free or whose lease has expired, until released. Live leases are never touched.

    settling_s: how long to wait for requests of others in storage without locks, by default 2 s. Folders need no waiting.
    """
    ids = sorted({check_id(run_id) for run_id in run_ids})
    requester = Owner(secrets.token_hex(8), socket.gethostname(), os.getpid(), process=_process(os.getpid()))
    lease = Lease(storage, replace(requester, is_held=True), set(), {}, lifetime_s)
    with _locked(storage) as is_locked:
        for run_id in ids:
            storage.write(_name(run_id, requester.token), _encode_owner(requester))
        if not is_locked and ids:
            time.sleep(SETTLING_S if settling_s is None else settling_s)
        tokens = _tokens(storage)
        for run_id in ids:
            if other := _find_preceding_owner(_find_live_owners(storage, run_id, tokens, requester, lifetime_s), requester):
                lease.refused[run_id] = other
                storage.remove(_name(run_id, requester.token))
            else:
                lease.held.add(run_id)
                lease.renew(run_id)
    if lease.held:
        lease.start_renewing()
    return lease


def _tokens(storage: Storage) -> dict[str, list[str]]:
    """Return {run id: tokens of its current, requesting and former owners}."""
    found: dict[str, list[str]] = {}
    for name in storage.names(FOLDER, ".json"):
        run_id, _, token = name.removesuffix(".json").rpartition("--")
        found.setdefault(run_id, []).append(token)
    return found


def _find_live_owners(
    storage: Storage, run_id: str, tokens: dict[str, list[str]], mine: Owner, lifetime_s: float
) -> list[Owner]:
    """Return the other owners of a run whose lease files are live; expired files and those of ended processes are removed.

    Ages are relative to that of this process's own file.
    """
    others = [token for token in tokens.get(run_id, ()) if token != mine.token]
    own_age = storage.age_s(_name(run_id, mine.token)) if others else None
    found = []
    for token in others:
        age = storage.age_s(_name(run_id, token))
        if age is None or own_age is None:
            continue
        if age - own_age >= lifetime_s:
            storage.remove(_name(run_id, token))
            continue
        with contextlib.suppress(OSError, ValueError, TypeError):
            owner = Owner(**json.loads(storage.read(_name(run_id, token))))
            if owner.has_ended():
                storage.remove(_name(run_id, token))
            else:
                found.append(owner)
    return found


def _process(pid: int) -> str:
    """Return "BOOT NAMESPACE START": boot id of the machine, PID namespace, and start time of the process; "" if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # The program name may contain any characters and ends with the last parenthesis.
        state, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else f"{boot} {os.readlink('/proc/self/ns/pid')} {numbers[18]}"
    except (OSError, IndexError):
        return ""


def _machine(process: str) -> str:
    return process.rpartition(" ")[0]


def _find_preceding_owner(others: list[Owner], mine: Owner) -> Owner | None:
    """Return the owner that takes precedence: one that holds the run, else a requester with a smaller token."""
    return next((other for other in others if other.is_held), None) or next(
        (other for other in sorted(others, key=_by_token) if other.token < mine.token), None
    )


def _by_token(owner: Owner) -> str:
    return owner.token


def _clock_s() -> float:
    # CLOCK_BOOTTIME also advances while the machine is suspended.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _name(run_id: str, token: str) -> str:
    return f"{FOLDER}/{run_id}--{token}.json"


def _encode_owner(owner: Owner) -> bytes:
    return json.dumps(asdict(owner)).encode()


@contextlib.contextmanager
def _locked(storage: Storage) -> Iterator[bool]:
    """Hold the folder's lock, which is released when the process ends; yields False if locks are not supported."""
    if storage.local is None:
        yield False
        return
    folder = storage.local / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            # Some network file systems do not support locks.
            yield False
            return
        yield True

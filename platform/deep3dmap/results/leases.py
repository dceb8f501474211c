"""Leases on runs in progress, so that two drivers on one store never work on the same run.

A lease is a file that its owner rewrites while it works. One that was not rewritten for longer than it may last has expired,
and anybody may take it over. Ages are those of the storage's own clock, never of a writer's. In a folder the decision is made
under a file lock; in object storage, which has none, everybody writes what he wants, waits until all can see it, and the
first name wins.
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
LASTS_S = 120.0
# Longer than a write takes to be seen by all.
SETTLES_S = 2.0


@dataclass(frozen=True)
class Owner:
    """Who holds a lease, or wants it. token: unique; is_held: whether it has been granted.

    process: which process of which machine, as the kernel tells them apart; "" where it does not.
    """

    token: str
    host: str
    pid: int
    is_held: bool = False
    process: str = ""

    def has_ended(self) -> bool:
        """Whether it was a process of this machine that is no more, so that nobody has to wait for its lease to expire."""
        mine = _process(os.getpid())
        return bool(self.process and mine) and _machine(self.process) == _machine(mine) and _process(self.pid) != self.process

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass
class Lease:
    """The runs that this process may work on. refused: {run id: who works on it}. lost: those that another one took over.

    It is kept alive by a thread until `release`, or the end of a `with` block.
    """

    storage: Storage
    owner: Owner
    held: set[str]
    refused: dict[str, Owner]
    lasts_s: float
    lost: set[str] = field(default_factory=set)
    _renewed_s: dict[str, float] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __enter__(self) -> "Lease":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self, run_ids: Iterable[str] | None = None) -> None:
        """Give back some runs, or all."""
        with self._lock:
            given_back = set(self.held if run_ids is None else run_ids) & self.held
            self.held -= given_back
            if not self.held:
                self._over.set()
            for run_id in given_back:
                self.storage.remove(_name(run_id, self.owner.token))

    def lost_in_words(self) -> str:
        """Say which runs another process took over, "" where none did."""
        if not self.lost:
            return ""
        runs = f"run{'s' if len(self.lost) > 1 else ''} {', '.join(sorted(self.lost))}"
        why = f"the lease of this process was not renewed within {self.lasts_s:g} s"
        return f"another process took over {runs}, as {why}; both have written attempts"

    def beat(self) -> None:
        """Renew the lease once; runs that another process has taken over meanwhile are lost."""
        with self._lock:
            tokens = _tokens(self.storage)
            for run_id in sorted(self.held):
                late = _clock_s() - self._renewed_s[run_id] > self.lasts_s
                others = [other for other in _live(self.storage, run_id, tokens, self.owner, self.lasts_s) if other.is_held]
                if self.owner.token not in tokens.get(run_id, ()) or (
                    others and (late or min(others, key=_by_token).token < self.owner.token)
                ):
                    self.lost.add(run_id)
                    self.release([run_id])
                else:
                    self.renew(run_id)

    def renew(self, run_id: str) -> None:
        """Write the file of one run anew."""
        self.storage.write(_name(run_id, self.owner.token), _packed(self.owner))
        self._renewed_s[run_id] = _clock_s()

    def keep(self) -> None:
        """Start the thread that keeps the lease alive."""
        threading.Thread(target=self._keep, name="lease", daemon=True).start()

    def _keep(self) -> None:
        while not self._over.wait(self.lasts_s / 5):
            # Storage may fail for a while: the lease outlasts a few beats.
            with contextlib.suppress(UserError, OSError):
                self.beat()


def take(storage: Storage, run_ids: Iterable[str], lasts_s: float = LASTS_S, settles_s: float | None = None) -> Lease:
    """Take what is free of some runs, or expired, and keep it until it is given back. A lease that is alive is never touched.

    settles_s: how long to wait for others in storage without locks; by default 2 s there, and not at all in a folder.
    """
    ids = sorted({check_id(run_id) for run_id in run_ids})
    wanting = Owner(secrets.token_hex(8), socket.gethostname(), os.getpid(), process=_process(os.getpid()))
    lease = Lease(storage, replace(wanting, is_held=True), set(), {}, lasts_s)
    with _locked(storage) as is_locked:
        for run_id in ids:
            storage.write(_name(run_id, wanting.token), _packed(wanting))
        if not is_locked and ids:
            time.sleep(SETTLES_S if settles_s is None else settles_s)
        tokens = _tokens(storage)
        for run_id in ids:
            if other := _first(_live(storage, run_id, tokens, wanting, lasts_s), wanting):
                lease.refused[run_id] = other
                storage.remove(_name(run_id, wanting.token))
            else:
                lease.held.add(run_id)
                lease.renew(run_id)
    if lease.held:
        lease.keep()
    return lease


def _tokens(storage: Storage) -> dict[str, list[str]]:
    """Return {run id: tokens of those who hold it, want it or held it once}."""
    found: dict[str, list[str]] = {}
    for name in storage.names(FOLDER, ".json"):
        run_id, _, token = name.removesuffix(".json").rpartition("--")
        found.setdefault(run_id, []).append(token)
    return found


def _live(storage: Storage, run_id: str, tokens: dict[str, list[str]], mine: Owner, lasts_s: float) -> list[Owner]:
    """Return the others whose files of a run have not expired, beside one's own file; those that have are cleared away."""
    others = [token for token in tokens.get(run_id, ()) if token != mine.token]
    own_age = storage.age_s(_name(run_id, mine.token)) if others else None
    found = []
    for token in others:
        age = storage.age_s(_name(run_id, token))
        if age is None or own_age is None:
            continue
        if age - own_age >= lasts_s:
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
    """Return "BOOT PIDS START": which start of which machine, which space of process numbers, and when the process began."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # The name of the program, which may hold anything, ends with the last parenthesis.
        state, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if state in "ZX" else f"{boot} {os.readlink('/proc/self/ns/pid')} {numbers[18]}"
    except (OSError, IndexError):
        return ""


def _machine(process: str) -> str:
    return process.rpartition(" ")[0]


def _first(others: list[Owner], mine: Owner) -> Owner | None:
    """Return who goes before: one that holds the run, or one that wants it too and has the smaller token."""
    return next((other for other in others if other.is_held), None) or next(
        (other for other in sorted(others, key=_by_token) if other.token < mine.token), None
    )


def _by_token(owner: Owner) -> str:
    return owner.token


def _clock_s() -> float:
    # Goes on while the machine sleeps.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _name(run_id: str, token: str) -> str:
    return f"{FOLDER}/{run_id}--{token}.json"


def _packed(owner: Owner) -> bytes:
    return json.dumps(asdict(owner)).encode()


@contextlib.contextmanager
def _locked(storage: Storage) -> Iterator[bool]:
    """Hold the folder's lock, which ends with the process; False where there are no locks."""
    if storage.local is None:
        yield False
        return
    folder = storage.local / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            # Some network file systems have none.
            yield False
            return
        yield True

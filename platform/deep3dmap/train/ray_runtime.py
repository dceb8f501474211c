"""Sets Ray's environment and connects to Ray; no other module does.

A job submitted to a cluster finds RAY_ADDRESS set and joins that cluster. Otherwise a private Ray is started on this machine,
with its dashboard, listening on loopback only and requiring a token.
"""

import logging
import math
import os
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from deep3dmap.core.errors import UserError
from deep3dmap.train import stage_marks
from deep3dmap.train.processes import descendants, end_processes
from deep3dmap.train.progress import PROGRESS_FILE, announce
from deep3dmap.train.ray_folder import private_token, session_folder
from deep3dmap.train.ray_health import RayHealth
from deep3dmap.train.start_limit import GIVEN_UP_AFTER, LIMIT, start_limit_s
from deep3dmap.train.start_watch import StartClock, StartError, run_watched, to_stderr

_ENVIRONMENT = {
    # Without this, Ray resolves localhost to the machine's external address and listens there.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Otherwise Ray blocks its driver uninterruptibly until it has started one worker per CPU.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Workers keep the driver's working directory, although every path in a job is absolute.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}

# Announced when Ray is started here, or when a running one is joined.
STARTING, JOINING = "starting Ray", "joining the Ray of"
_PORTS = range(20000, 32768)
# The Ray started by this process, at most one.
_own: list[RayHealth] = []


def connect(cpus: int | None = None, dashboard: bool = True) -> dict[str, Any]:
    """Join the cluster at RAY_ADDRESS, or start Ray here with `cpus` logical CPUs (default: all). Returns its resources.

    Calling it twice is harmless. Raises StartError, with the cause if known, if Ray does not start in time.
    """
    # Ray gives up on its dashboard after a minute, too early on a busy machine; StartClock enforces the limit instead.
    patience = {"RAY_DASHBOARD_STARTUP_TIMEOUT_S": str(math.ceil(start_limit_s() * GIVEN_UP_AFTER) + 1)}
    for name, value in {**_ENVIRONMENT, **patience}.items():
        os.environ.setdefault(name, value)
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    if not ray.is_initialized():
        context = _join() if os.environ.get("RAY_ADDRESS") else _start(cpus, dashboard)
        if context.dashboard_url:
            to_stderr(f"Ray dashboard: http://{context.dashboard_url}")
    return dict(ray.cluster_resources())


def own_health() -> RayHealth | None:
    """Return the health of the Ray started by this process, None if it joined one or started none."""
    return _own[0] if _own else None


def _join() -> Any:
    import ray

    address = os.environ["RAY_ADDRESS"]
    announce(f"{JOINING} {address}")
    clock = StartClock(f"the Ray of RAY_ADDRESS={address}", lambda: "is it running, and is its token known here?", to_stderr)
    try:
        return run_watched(lambda: ray.init(log_to_driver=False, logging_level=logging.ERROR), clock.check)
    except Exception as error:
        if isinstance(error, StartError):
            raise
        raise StartError(f"cannot join the Ray of RAY_ADDRESS={address}: {_first_line(error)}") from error


def _start(cpus: int | None, dashboard: bool) -> Any:
    import ray

    stage_marks.mark("Ray")
    announce(STARTING)
    folder = session_folder()
    private_token()
    # With a known port every Ray process finds its own cluster, even if another one runs on the machine.
    os.environ["RAY_GCS_SERVER_PORT"] = str(_free_port())
    os.environ["PYTHONPATH"] = os.pathsep.join(_own_paths())
    # The watcher would start a process per multi-worker training to check whether this machine is about to be preempted.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    health, before = RayHealth(), set(descendants())
    clock = StartClock("Ray to start", health.describe_delay, to_stderr)

    def check() -> None:
        if os.environ.get(PROGRESS_FILE):
            # The supervising command watches instead.
            return
        if lost := health.lost():
            raise StartError(lost)
        clock.check()

    def start() -> Any:
        return ray.init(
            address="local",
            num_cpus=cpus,
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=200 << 20,
            _temp_dir=str(folder),
        )

    try:
        context = run_watched(start, check, keep_thread=True)
    except BaseException as error:
        # Ray may give up first, reporting only a timeout.
        seen = health.lost() or health.stopped()
        # Left running, these processes might wait forever for whatever did not start.
        end_processes(set(descendants()) - before)
        if isinstance(error, UserError) or not isinstance(error, Exception):
            raise
        raise StartError(
            f"Ray did not start: {seen or _reason(error)} (its logs: {folder / 'session_latest' / 'logs'})"
        ) from error
    health.logs = Path(context.address_info["session_dir"]) / "logs"
    _own.append(health)
    return context


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the duration of the block, in which a training or experiment on Ray starts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def disconnect() -> None:
    """Disconnect from Ray; a Ray started here shuts down with all its processes."""
    import ray

    ray.shutdown()
    _own.clear()
    os.environ.pop("RAY_GCS_SERVER_PORT", None)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _reason(error: BaseException) -> str:
    line = _first_line(error)
    # Ray's message about its dashboard is the end of a log, which is empty if it was merely too slow.
    late = f"its dashboard did not start; is the machine very busy? {LIMIT}= allows more than {start_limit_s():g} s"
    return late if line.startswith("The last ") else line


def _own_paths() -> list[str]:
    """Return the import paths outside the interpreter's own folders, so that workers find the user's modules too."""
    interpreter = (sys.prefix, sys.base_prefix)
    return [path for path in sys.path if path and not path.startswith(interpreter)]


def _free_port() -> int:
    # Outside the range of ephemeral ports, because Ray binds it only seconds later.
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port

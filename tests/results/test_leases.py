import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from deep3dmap.core.errors import UserError
from deep3dmap.results import leases
from deep3dmap.results.leases import Owner, acquire_lease
from deep3dmap.results.storage import Storage
from deep3dmap.results.store import ResultStore

IDS = ["a" * 16, "b" * 16]


@pytest.fixture(autouse=True)
def all_are_given_back(monkeypatch):
    """Release all leases after each test, so that no thread keeps renewing one until the interpreter exits."""
    started, start = [], leases.Lease.start_renewing
    monkeypatch.setattr(leases.Lease, "start_renewing", lambda lease: started.append(lease) or start(lease))
    yield
    for lease in started:
        lease.release()
    for thread in threading.enumerate():
        if thread.name == "lease":
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def storage(tmp_path):
    return Storage(str(tmp_path))


@pytest.fixture
def bucket():
    """Storage that is not a local folder and has no locks."""
    storage = Storage("mock:///bucket/results")
    storage.filesystem.create_dir(storage.path(leases.FOLDER))
    return storage


def age(storage, lease, seconds):
    """Backdate the files of a lease, as if its process had been suspended for a while."""
    for run_id in lease.held:
        file = storage.path(leases._name(run_id, lease.owner.token))
        then = time.time() - seconds
        os.utime(file, (then, then))
        lease._renewed_s[run_id] -= seconds


def test_what_is_taken_is_refused_to_others_until_it_is_given_back(storage):
    with acquire_lease(storage, IDS) as first:
        assert first.held == set(IDS)
        second = acquire_lease(storage, [*IDS, "c" * 16])
        assert second.held == {"c" * 16}
        assert {run_id: owner.pid for run_id, owner in second.refused.items()} == dict.fromkeys(IDS, os.getpid())
        assert str(second.refused[IDS[0]]).startswith(f"process {os.getpid()} on ")
        second.release()
    assert acquire_lease(storage, IDS).held == set(IDS)


def test_single_runs_are_given_back(storage):
    lease = acquire_lease(storage, IDS)
    lease.release(IDS[:1])
    assert lease.held == {IDS[1]}
    assert acquire_lease(storage, IDS).held == {IDS[0]}


def test_an_expired_lease_is_taken_over_and_its_owner_learns_of_it(storage):
    first = acquire_lease(storage, IDS, lifetime_s=60)
    age(storage, first, 61)
    second = acquire_lease(storage, IDS[:1], lifetime_s=60)
    assert second.held == {IDS[0]}
    first.renew_all()
    assert (first.lost, first.held) == ({IDS[0]}, {IDS[1]})
    second.renew_all()
    assert (second.lost, second.held) == (set(), {IDS[0]})


def test_a_lease_that_is_renewed_does_not_expire(storage):
    first = acquire_lease(storage, IDS, lifetime_s=60)
    age(storage, first, 59)
    first.renew_all()
    age(storage, first, 59)
    assert acquire_lease(storage, IDS, lifetime_s=60).held == set()


def test_it_is_kept_alive_by_itself(storage):
    first = acquire_lease(storage, IDS[:1], lifetime_s=0.5)
    time.sleep(1.5)
    assert acquire_lease(storage, IDS[:1], lifetime_s=0.5).held == set()
    first.release()


def test_a_process_that_was_killed_leaves_a_lease_that_expires(storage, tmp_path):
    code = "import sys, time; from deep3dmap.results.store import ResultStore; "
    code += "l = ResultStore(sys.argv[1]).lease([sys.argv[2]], 1.0); print(len(l.held), flush=True); time.sleep(60)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), IDS[0]], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "1\n"
    assert acquire_lease(storage, IDS[:1], lifetime_s=1.0).held == set()
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1.2)
    assert acquire_lease(storage, IDS[:1], lifetime_s=1.0).held == set(IDS[:1])


def test_of_many_processes_one_gets_it(storage, tmp_path):
    code = "import sys; from deep3dmap.results.store import ResultStore; "
    code += "print(len(ResultStore(sys.argv[1]).lease([sys.argv[2]]).held), flush=True); sys.stdin.read()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, str(tmp_path), IDS[0]]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    started = [subprocess.Popen(command, env=environment, text=True, **pipes) for _ in range(5)]
    assert sorted(process.stdout.readline() for process in started) == ["0\n"] * 4 + ["1\n"]
    for process in started:
        process.communicate()


def test_without_locks_the_first_name_wins(bucket):
    """If two processes request a run at the same time, the one with the smaller token gets it."""
    rival = Owner("0" * 16, "elsewhere", 1)
    bucket.write(leases._name(IDS[0], rival.token), leases._encode_owner(rival))
    lease = acquire_lease(bucket, IDS, settling_s=0.0)
    assert lease.held == {IDS[1]}
    assert lease.refused == {IDS[0]: rival}
    later = Owner("z" * 16, "elsewhere", 1)
    bucket.write(leases._name("c" * 16, later.token), leases._encode_owner(later))
    assert acquire_lease(bucket, ["c" * 16], settling_s=0.0).held == {"c" * 16}


def test_without_locks_a_lease_is_kept_too(bucket):
    first = acquire_lease(bucket, IDS, settling_s=0.0)
    assert acquire_lease(bucket, IDS, settling_s=0.0).held == set()
    first.release()
    assert acquire_lease(bucket, IDS, settling_s=0.0).held == set(IDS)


def test_storage_that_fails_for_a_while_ends_no_lease(storage, monkeypatch):
    lease = acquire_lease(storage, IDS[:1], lifetime_s=0.5)
    monkeypatch.setattr(storage, "write", lambda *_: (_ for _ in ()).throw(UserError("away")))
    time.sleep(0.3)
    monkeypatch.undo()
    lease.renew_all()
    assert lease.held == set(IDS[:1])


def test_only_ids_can_be_taken(tmp_path):
    with pytest.raises(UserError, match="is not a valid run id"):
        ResultStore(str(tmp_path)).lease(["../x"])


def test_the_lease_of_a_process_that_was_killed_is_free_at_once(tmp_path):
    code = (
        "import sys, time; from deep3dmap.results.store import ResultStore\n"
        f"lease = ResultStore({str(tmp_path)!r}).lease(['0123456789abcdef'])\n"
        "print(len(lease.held), flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "1\n"
    store = ResultStore(str(tmp_path))
    with store.lease(["0123456789abcdef"]) as lease:
        assert not lease.held
        assert lease.refused["0123456789abcdef"].pid == holder.pid
    holder.kill()
    holder.wait()
    with store.lease(["0123456789abcdef"]) as lease:
        assert lease.held == {"0123456789abcdef"}

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deep3dmap.core.errors import UserError
from deep3dmap.data.cache import build_folder, default_cache, write_file
from deep3dmap.data.content_hash import hash_files, hash_folder
from deep3dmap.data.generation import item_seed, make_items


def test_a_folder_is_built_once_and_found_again(tmp_path: Path) -> None:
    built = []

    def build(folder: Path) -> None:
        built.append(folder)
        (folder / "a.txt").write_text("a")

    for _ in range(2):
        assert (build_folder(tmp_path / "x" / "y", build) / "a.txt").read_text() == "a"
    assert len(built) == 1


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "a.txt").write_text("a")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        build_folder(tmp_path / "y", build)
    assert [p.name for p in tmp_path.iterdir()] == [".y.lock"]


def test_a_killed_build_is_swept_away_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".y.building-dead").mkdir()
    build_folder(tmp_path / "y", lambda folder: None)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".y.lock", "y"]


def test_two_builders_build_once(tmp_path: Path) -> None:
    built, begin = [], threading.Barrier(2)

    def build(folder: Path) -> None:
        built.append(folder)

    def run() -> None:
        begin.wait()
        build_folder(tmp_path / "y", build)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1


@contextmanager
def small_files() -> Iterator[None]:
    """Limit files to 1000 bytes to simulate a full disk; pytest's own log must not be affected."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    with small_files(), pytest.raises(UserError, match=r"y: the disk is full; .*data\.cache=DIR"):
        build_folder(tmp_path / "y", lambda folder: (folder / "big").write_bytes(bytes(5000)) and None)
    with small_files(), pytest.raises(UserError, match="the disk is full"):
        write_file(tmp_path / "z", bytes(5000))
    assert [p.name for p in tmp_path.iterdir()] == [".y.lock"]


def test_cache_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEEP3DMAP_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("DEEP3DMAP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "deep3dmap"


def test_hash_depends_on_names_and_bytes_and_on_nothing_else(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        (folder / "deep").mkdir(parents=True)
        (folder / "a").write_text("1")
        (folder / "deep" / "b").write_text("2")
    (other / ".hidden").write_text("3")
    os.utime(other / "a", (1, 1))
    assert hash_folder(one) == hash_folder(other)
    (other / "deep" / "b").write_text("3")
    assert hash_folder(one) != hash_folder(other)
    (one / "a").rename(one / "c")
    assert len({hash_folder(one), hash_files(one, [one / "c"])}) == 2


def test_remembered_hash_notices_a_change(tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    data.mkdir()
    (data / "a").write_text("1")
    first = hash_folder(data, cache)
    assert hash_folder(data, cache) == first == hash_folder(data)
    (data / "a").write_text("2")
    os.utime(data / "a", (5, 5))
    assert hash_folder(data, cache) == hash_folder(data) != first


def test_items_come_in_order_from_any_number_of_workers() -> None:
    assert make_items(abs, [-3, 2, -1], title="t") == make_items(abs, [-3, 2, -1], title="t", workers=2) == [3, 2, 1]
    assert item_seed("a", 1) != item_seed("a", 2) != item_seed("a1")


def test_an_error_of_a_worker_is_raised_here() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        make_items(int, ["1", "x"], title="t", workers=2)


def test_a_killed_worker_is_a_clear_error() -> None:
    code = "import os; from deep3dmap.data.generation import make_items; make_items(os._exit, [3, 3], title='t', workers=2)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "use fewer workers" in found.stderr

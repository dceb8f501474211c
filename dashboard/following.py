"""Incremental monitoring of a store: detects changes cheaply and reads only new files."""

import os
import threading
import time
from pathlib import Path

from deep3dmap.dashboard.snapshot import Snapshot
from deep3dmap.results.store import ResultStore

FOLDERS = ("runs", "metrics", "cards")
# Listing a folder of a remote store costs a request.
LOOK_AGAIN_S = 5.0
# Two changes within one tick of a filesystem's clock give a folder the same time stamp.
SETTLED_S = 1.0
WORTH_CACHING = 1000
Names = frozenset[str]


class Follower:
    """Provides the newest snapshot of a store. unread: number of single-attempt files that the first snapshot has to read."""

    def __init__(self, uri: str, cache_folder: Path | None = None) -> None:
        """cache_folder: a local folder for caching tables, so that the next server does not need to read them again."""
        self.store, self.cache_folder = ResultStore(uri), cache_folder
        # Files added since the tables were cached are few and not counted.
        self.unread = 0 if cache_folder and self.store.recall(cache_folder) else self.store.unread()
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._folders = [_Folder(self.store, f"tables/{name}") for name in FOLDERS]
        self._seen: list[Names] = []

    @property
    def is_ready(self) -> bool:
        """Whether a snapshot exists, possibly outdated."""
        return self._snapshot is not None

    def remember(self) -> None:
        """Cache the tables, if there is a folder for it and the store is large enough to be worth caching."""
        if self.cache_folder and sum(map(len, self._seen)) > WORTH_CACHING:
            with self._lock:
                self.store.remember(self.cache_folder)

    def newest(self) -> Snapshot:
        """Return a snapshot of the store's current state; the previous one if no file was added or removed."""
        with self._lock:
            names = [folder.names() for folder in self._folders]
            if self._snapshot is None or names != self._seen:
                self._snapshot, self._seen = Snapshot(self.store, self._snapshot), names
            return self._snapshot


class FolderWatch:
    """Detects possible changes of a local folder from its modification time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._changed_ns, self._is_settled = -1, False

    def has_changed(self) -> bool:
        """Return whether a file may have been added, removed or replaced since the last call."""
        try:
            changed_ns = self.folder.stat().st_mtime_ns
        except FileNotFoundError:
            changed_ns = 0
        is_same = changed_ns == self._changed_ns and self._is_settled
        self._is_settled = time.time_ns() - changed_ns > SETTLED_S * 1e9
        self._changed_ns = changed_ns
        return not is_same


class _Folder:
    """Lists a folder, and lists it again only if it may have changed."""

    def __init__(self, store: ResultStore, name: str) -> None:
        self.storage, self.name = store.storage, name
        self._names: Names = frozenset()
        self._watch = FolderWatch(store.storage.local / name) if store.storage.local else None
        self._listed_s = -LOOK_AGAIN_S

    def names(self) -> Names:
        """Return the names of the files in the folder."""
        if self._watch:
            if self._watch.has_changed():
                self._names = frozenset(os.listdir(self._watch.folder)) if self._watch.folder.is_dir() else frozenset()
        elif time.monotonic() - self._listed_s > LOOK_AGAIN_S:
            self._names = frozenset(self.storage.names(self.name, ".parquet"))
            self._listed_s = time.monotonic()
        return self._names

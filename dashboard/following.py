"""Follows a store: says cheaply whether anything is new, and reads only that."""

import os
import threading
import time
from pathlib import Path

from deep3dmap.dashboard.snapshot import Snapshot
from deep3dmap.results.store import ResultStore

FOLDERS = ("runs", "metrics", "cards")
# Listing folders of a store that is not on this machine costs a request.
LOOK_AGAIN_S = 5.0
# Two changes within one tick of a filesystem's clock leave a folder with the same time.
SETTLED_S = 1.0
WORTH_KEEPING = 1000
Names = frozenset[str]


class Follower:
    """Keeps the newest snapshot of a store, for whoever asks. unread: files of single attempts that the first one needs."""

    def __init__(self, uri: str, kept: Path | None = None) -> None:
        """kept: a folder of this machine for what was read, so that the next server needs not read it again."""
        self.store, self.kept = ResultStore(uri), kept
        # Of what has come since then there is little.
        self.unread = 0 if kept and self.store.recall(kept) else self.store.unread()
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._folders = [_Folder(self.store, f"tables/{name}") for name in FOLDERS]
        self._seen: list[Names] = []

    @property
    def is_ready(self) -> bool:
        """Whether a snapshot is there, though maybe not the newest."""
        return self._snapshot is not None

    def remember(self) -> None:
        """Keep what was read, where there is a folder for it and enough to be worth keeping."""
        if self.kept and sum(map(len, self._seen)) > WORTH_KEEPING:
            with self._lock:
                self.store.remember(self.kept)

    def newest(self) -> Snapshot:
        """Return a snapshot of the store as it is now; the one from before where no file has come or gone."""
        with self._lock:
            names = [folder.names() for folder in self._folders]
            if self._snapshot is None or names != self._seen:
                self._snapshot, self._seen = Snapshot(self.store, self._snapshot), names
            return self._snapshot


class FolderWatch:
    """Says whether a folder of this machine may have changed, by its time alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._changed_ns, self._is_settled = -1, False

    def has_changed(self) -> bool:
        """Whether a file may have come, gone or been replaced since this was asked last."""
        try:
            changed_ns = self.folder.stat().st_mtime_ns
        except FileNotFoundError:
            changed_ns = 0
        is_same = changed_ns == self._changed_ns and self._is_settled
        self._is_settled = time.time_ns() - changed_ns > SETTLED_S * 1e9
        self._changed_ns = changed_ns
        return not is_same


class _Folder:
    """Lists a folder again only if it may have changed."""

    def __init__(self, store: ResultStore, name: str) -> None:
        self.storage, self.name = store.storage, name
        self._names: Names = frozenset()
        self._watch = FolderWatch(store.storage.local / name) if store.storage.local else None
        self._listed_s = -LOOK_AGAIN_S

    def names(self) -> Names:
        """Return the names of the files in it."""
        if self._watch:
            if self._watch.has_changed():
                self._names = frozenset(os.listdir(self._watch.folder)) if self._watch.folder.is_dir() else frozenset()
        elif time.monotonic() - self._listed_s > LOOK_AGAIN_S:
            self._names = frozenset(self.storage.names(self.name, ".parquet"))
            self._listed_s = time.monotonic()
        return self._names

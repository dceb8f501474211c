"""A result store whose storage may fail for a while: no finished run is lost to a file server that restarts."""

from deep3dmap.results.storage import Storage
from deep3dmap.results.store import ResultStore
from deep3dmap.train.retry import retried


class RetryingStorage(Storage):
    """Storage that is tried again, a bounded number of times; a full disk is told of at once."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file atomically; raises UserError, with nothing half-written, if the storage still refuses at the end."""
        retried(lambda: super(RetryingStorage, self).write(name, data))

    def read(self, name: str) -> bytes:
        """Read a file."""
        return retried(lambda: super(RetryingStorage, self).read(name))

    def names(self, folder: str, ending: str, recursive: bool = False) -> list[str]:
        """Return what `Storage.names` does."""
        return retried(lambda: super(RetryingStorage, self).names(folder, ending, recursive))


class RetryingStore(ResultStore):
    """A result store on storage that is tried again."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.storage = RetryingStorage(uri)

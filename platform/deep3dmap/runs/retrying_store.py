"""A result store that retries storage operations, so that no finished run is lost when a file server restarts."""

from deep3dmap.results.storage import Storage
from deep3dmap.results.store import ResultStore
from deep3dmap.train.retry import call_with_retries


class RetryingStorage(Storage):
    """Storage that retries failed operations a limited number of times; a full disk is reported immediately."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file atomically; raises UserError, leaving no partial file, if all attempts fail."""
        call_with_retries(lambda: super(RetryingStorage, self).write(name, data))

    def read(self, name: str) -> bytes:
        """Read a file; raises FileNotFoundError at once if there is none, as for an attempt that was not recorded."""
        return call_with_retries(lambda: super(RetryingStorage, self).read(name), final=(FileNotFoundError,))

    def names(self, folder: str, ending: str, recursive: bool = False) -> list[str]:
        """Return the result of `Storage.names`."""
        return call_with_retries(lambda: super(RetryingStorage, self).names(folder, ending, recursive))


class RetryingStore(ResultStore):
    """A result store that retries failed storage operations."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.storage = RetryingStorage(uri)

"""Where a store is. Imports nothing, for a verb that only hands the place on is to start at once."""

from pathlib import Path


def local_folder(uri: str) -> Path | None:
    """Return the folder that a store is, None for one that is elsewhere (s3://, gs://)."""
    if "://" in uri and not uri.startswith("file://"):
        return None
    return Path(uri.removeprefix("file://")).expanduser().resolve()

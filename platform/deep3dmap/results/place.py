"""Location of a store. Has no heavy imports, to keep the start-up of commands that only pass the location on fast."""

from pathlib import Path


def local_folder(uri: str) -> Path | None:
    """Return the local folder of a store, None for a remote store (s3://, gs://)."""
    if "://" in uri and not uri.startswith("file://"):
        return None
    return Path(uri.removeprefix("file://")).expanduser().resolve()

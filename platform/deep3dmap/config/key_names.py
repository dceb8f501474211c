"""Spelling suggestions for the dotted keys of a configuration."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest_key(key: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'optimizer.lr'?` for a key such as `lr` or `optimzer.lr`, or the available keys."""
    keys = sorted(known)
    last = key.rpartition(".")[2]
    # Prefer a key with the same last part: `trainer.lr` means `optimizer.lr`, even if `trainer.workers` is closer.
    same_last_part = [candidate for candidate in keys if candidate.rpartition(".")[2] == last]
    close = get_close_matches(key, same_last_part or keys, n=1, cutoff=0.0 if same_last_part else 0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    section = key.partition(".")[0]
    section_keys = [candidate for candidate in keys if candidate.startswith(f"{section}.")]
    if section_keys:
        return f"; available: {', '.join(section_keys)}"
    return f"; available: {', '.join(dict.fromkeys(_section(candidate) for candidate in keys))}" if keys else ""


def _section(key: str) -> str:
    first, dot, _ = key.partition(".")
    return f"{first}.KEY" if dot else first

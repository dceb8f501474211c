"""The input-key mapping: which of a dataset's keys a method receives, under the method's own names."""

from collections.abc import Iterable, Mapping
from typing import Any

from deep3dmap.core.errors import UserError, nearest
from deep3dmap.core.keys import PER_IMAGE


def select(sample: Mapping[str, Any], keys: Iterable[str], mapping: Mapping[str, str]) -> dict[str, Any]:
    """Return {key: sample[mapping.get(key, key)]} for the method's `keys` and nothing else.

    This is the only door through which data reach a method, so a key that was not asked for cannot leak.
    Raises UserError for a key the sample lacks, and for one that it has not once for each of its images.
    """
    selected = {}
    for key in keys:
        source = mapping.get(key, key)
        if source not in sample:
            raise UserError(
                f"the dataset has no '{source}' for the method's '{key}'{nearest(source, sample)} (or map it: inputs.{key}=KEY)"
            )
        selected[key] = sample[source]
    _check_counts(selected, mapping)
    return selected


def _check_counts(selected: Mapping[str, Any], mapping: Mapping[str, str]) -> None:
    counts = {key: len(selected[key]) for key in PER_IMAGE if key in selected}
    for key, count in counts.items():
        if count != counts.get("images", count):
            named = mapping.get(key, key)
            raise UserError(f"the dataset gives {counts['images']} images and {count} of '{named}'; each image needs one")

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
    counts = {key: len(value) for key, value in selected.items() if key in PER_IMAGE}
    # Where a method takes no images, what it takes of each of them has to be as many all the same.
    first = "images" if "images" in counts else next(iter(counts), "")
    for key, count in counts.items():
        if count != counts[first]:
            many = "images" if first == "images" else f"of '{mapping.get(first, first)}'"
            named = mapping.get(key, key)
            raise UserError(f"the dataset gives {counts[first]} {many} and {count} of '{named}'; each image needs one")

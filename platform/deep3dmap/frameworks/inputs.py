"""Input-key mapping: selects the dataset keys that a method receives and renames them to the method's own keys."""

from collections.abc import Iterable, Mapping
from typing import Any

from deep3dmap.core.errors import UserError, nearest
from deep3dmap.core.keys import PER_IMAGE


def select(sample: Mapping[str, Any], keys: Iterable[str], mapping: Mapping[str, str]) -> dict[str, Any]:
    """Return {key: sample[mapping.get(key, key)]} for only the method's `keys`.

    All data passed to a method go through this function, so keys that were not requested cannot leak. Raises UserError for a
    key that the sample lacks, or if the selected per-image keys differ in length.
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
    # Even if a method does not take the images, all its per-image keys must have the same length.
    first = "images" if "images" in counts else next(iter(counts), "")
    for key, count in counts.items():
        if count != counts[first]:
            many = "images" if first == "images" else f"of '{mapping.get(first, first)}'"
            named = mapping.get(key, key)
            raise UserError(f"the dataset has {counts[first]} {many} but {count} of '{named}'; each image needs one")

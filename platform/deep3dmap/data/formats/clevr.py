"""The files of CLEVR v1.0: images/<split>/CLEVR_<split>_<number>.png and scenes/CLEVR_<split>_scenes.json.

An optional folder masks/<split>, not part of the release, contains an image of the same name with pixel value 0 for the
background and k for object k of the scene, counted from 1.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import reading

FIELDS = ("shape", "size", "color", "material", "3d_coords", "pixel_coords", "rotation")
REMEDY = "restore it from the release"


def image_name(split: str, index: int) -> str:
    """Return the name of an image, such as CLEVR_train_000012.png."""
    return f"CLEVR_{split}_{index:06d}.png"


def scenes_file(root: Path, split: str) -> Path:
    """Return the path of a split's scene file."""
    return root / "scenes" / f"CLEVR_{split}_scenes.json"


def write_scenes(root: Path, split: str, scenes: Sequence[Mapping[str, Any]], info: Mapping[str, Any]) -> None:
    """Write the scene file of a split."""
    file = scenes_file(root, split)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"info": dict(info) | {"split": split}, "scenes": list(scenes)}))


def read_scenes(root: Path, split: str) -> dict[str, list[dict[str, Any]]]:
    """Return the objects of every scene of a split by image name; empty if the file is absent, as for the test split.

    Raises UserError naming the file, scene and field that is invalid.
    """
    file = scenes_file(root, split)
    if not file.is_file():
        return {}
    with reading(file, "CLEVR scene file", REMEDY):
        scenes = json.loads(file.read_text())["scenes"]
        found = {str(scene["image_filename"]): list(scene["objects"]) for scene in scenes}
        for name, things in found.items():
            for thing in things:
                missing = [field for field in FIELDS if field not in dict(thing)]
                if missing:
                    raise UserError(f"{file}: an object of {name} lacks {', '.join(missing)}; {REMEDY}")
    return found

"""Starting points of a run: assets and checkpoints of other runs, located during planning and identified by content."""

import copy
import hashlib
import json
from functools import cache, partial
from pathlib import Path
from typing import Any

from deep3dmap.core.asset import asset_files, find_asset
from deep3dmap.core.card import MethodCard
from deep3dmap.core.errors import UserError
from deep3dmap.core.files import is_written_as_path
from deep3dmap.core.registry import methods
from deep3dmap.train.checkpoints import CheckpointFolder


def resolve_starting_points(config: dict[str, Any], method: str, work: Path) -> dict[str, Any]:
    """Return the configuration with every starting point as an absolute path.

    method: its registered name. A RUN_ID refers to the best checkpoint of that run in the same store, METHOD/VARIANT to that of
    the newest such run whose training has finished, and "shipped" to the weights shipped with the method. Raises UserError for
    a missing file, or if a required asset is not specified.
    """
    found = copy.deepcopy(config)
    initial_checkpoint = found["trainer"]["initialize_from"]
    if initial_checkpoint:
        found["trainer"]["initialize_from"] = str(
            _checkpoint_of_run(initial_checkpoint, work) or _require_checkpoint_folder(initial_checkpoint)
        )
    find_sibling = partial(methods.file, method)
    for asset in methods.load(method).card.assets:
        named = found["method"].get(asset.option)
        asset.check_named(named)
        if asset.names_file(named):
            found["method"][asset.option] = str(_checkpoint_of_run(named, work) or find_asset(asset, named, find_sibling))
    return found


def hash_starting_points(config: dict[str, Any], card: MethodCard) -> dict[str, Any]:
    """Return the configuration with the path of every starting point replaced by a hash of its content."""
    hashed = copy.deepcopy(config)
    if hashed["trainer"]["initialize_from"]:
        hashed["trainer"]["initialize_from"] = hash_content(Path(hashed["trainer"]["initialize_from"]))
    for asset in card.assets:
        if asset.names_file(hashed["method"].get(asset.option)):
            hashed["method"][asset.option] = hash_content(Path(hashed["method"][asset.option]))
    return hashed


def hash_content(path: Path) -> str:
    """Return a hash of a file, of the weights in a checkpoint folder, or of all files in another folder or with one stem."""
    about = path / "checkpoint.json"
    if about.is_file():
        return str(json.loads(about.read_text())["state_sha256"])
    stats = [(file, file.stat()) for file in asset_files(path)]
    return _hash_of(tuple((file, stat.st_size, stat.st_mtime_ns) for file, stat in stats))


@cache
def _hash_of(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Hash the names and contents of files given as (file, size, mtime); cached, as a benchmark's runs share their weights."""
    digest = hashlib.sha256()
    for file, _, _ in files:
        with file.open("rb") as stream:
            digest.update(file.name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _checkpoint_of_run(named: str, work: Path) -> Path | None:
    if is_written_as_path(named):
        return None
    found = CheckpointFolder(work / named / "checkpoints") if "/" not in named else _newest_finished(named, work)
    best = found.best() if found else None
    return best.folder.resolve() if best else None


def _newest_finished(named: str, work: Path) -> CheckpointFolder | None:
    """Return the folder of the newest finished run of METHOD/VARIANT; raises UserError if all such runs are unfinished."""
    latest = [
        checkpoint for folder in work.glob("*/checkpoints") for checkpoint in CheckpointFolder(folder).list_complete()[-1:]
    ]
    latest = [
        checkpoint for checkpoint in latest if f"{checkpoint.about.get('method')}/{checkpoint.about.get('variant')}" == named
    ]
    # Checkpoints of earlier versions do not record whether training has ended.
    finished = [checkpoint for checkpoint in latest if checkpoint.about.get("ended", True)]
    if latest and not finished:
        run = latest[0].folder.parent.parent.name
        raise UserError(
            f"{named}: no run of it in this store has ended; {run} is at step {latest[0].step}. Wait for it, continue it with "
            f"--resume, or use it as it is by its id: {run}"
        )
    newest = max(finished, key=lambda checkpoint: checkpoint.folder.stat().st_mtime, default=None)
    return CheckpointFolder(newest.folder.parent) if newest else None


def _require_checkpoint_folder(named: str) -> Path:
    path = Path(named).expanduser()
    if not path.is_dir():
        raise UserError(
            f"trainer.initialize_from={named}: neither a checkpoint folder nor a run of this store (RUN_ID or METHOD/VARIANT)"
        )
    return path.resolve()

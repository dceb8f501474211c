"""Variants: overlays on a run that a method or dataset keeps in a YAML beside its class."""

from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from deep3dmap.core.errors import UserError, nearest
from deep3dmap.core.files import is_written_as_path
from deep3dmap.core.registry import Registry, datasets, methods

# In a method's config.yaml this is no variant but the space it is tuned in.
TUNING = "tune"


def variant_file(registry: Registry, name: str) -> str:
    """Return the file name of the variants: config.yaml beside a method, <module>.yaml beside a dataset."""
    if registry is not datasets:
        return "config.yaml"
    module = registry.load(name).__module__
    return f"{module.rpartition('.')[2]}.yaml"


def variants(registry: Registry, name: str) -> dict[str, dict[str, Any]]:
    """Return {variant: overlay}. For a dataset the overlay holds its own fields, for a method whole sections of a run.

    A class in a single file, without a YAML beside it, may keep them in its attribute `variants`.
    """
    overlays = {key: value or {} for key, value in _written(registry, name).items()}
    if registry is datasets:
        overlays = {key: {"dataset": value} for key, value in overlays.items()}
    else:
        overlays.pop(TUNING, None)
    return {"default": {}, **overlays}


def tuning_space(method: str) -> dict[str, Any]:
    """Return {dotted key: text} of the `tune:` section beside a method's variants; empty where there is none."""
    return _written(methods, method).get(TUNING) or {}


def _written(registry: Registry, name: str) -> dict[str, dict[str, Any]]:
    file = registry.file(name, variant_file(registry, name))
    own = getattr(registry.load(name), "variants", {})
    read = own or (_read(file) if file else None) or {}
    if not isinstance(read, dict) or not all(isinstance(overlay, dict | None) for overlay in read.values()):
        raise UserError(f"{file or name}: variants are written NAME: {{SECTION: {{KEY: VALUE}}}}")
    return read


def _read(file: Traversable) -> Any:
    try:
        return yaml.safe_load(file.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file}: cannot be read ({' '.join(str(error).split())})") from error


def split_choice(choice: str) -> tuple[str, str]:
    """Split `name/variant` or `name` and return (name, variant)."""
    name, _, variant = choice.rpartition("/") if "/" in choice else (choice, "", "")
    return name, variant or "default"


def check_choice_name(registry: Registry, choice: str) -> None:
    """Raise UserError if the name of `name/variant` is not registered, or if a checkpoint stands in a method's place.

    Imports nothing.
    """
    name = split_choice(choice)[0]
    if registry is methods and name not in registry.names() and _is_path(choice):
        is_checkpoint = (Path(choice).expanduser() / "checkpoint.json").is_file()
        raise UserError(
            f"method={choice}: {'the folder of a checkpoint' if is_checkpoint else 'a path'}, but method= takes NAME or "
            f"NAME/VARIANT; with it, trainer.initialize_from=FOLDER starts from a checkpoint, and a run's own line with "
            f"--resume goes on with that run"
        )
    registry.check(name)


def _is_path(choice: str) -> bool:
    return is_written_as_path(choice) or (":" not in choice and (Path(choice) / "checkpoint.json").is_file())


def overlay(registry: Registry, choice: str) -> tuple[str, str, dict[str, Any]]:
    """Split `name/variant` and return (name, variant, overlay); raises UserError for an unknown name or variant."""
    name, variant = split_choice(choice)
    registry.load(name)
    known = variants(registry, name)
    if variant not in known:
        raise UserError(f"{registry.kind} '{name}' has no variant '{variant}'{nearest(variant, known)}")
    return name, variant, known[variant]

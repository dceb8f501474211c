"""Variants: named overlays on the configuration of a run, defined in a YAML file next to a method or dataset class."""

from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from deep3dmap.core.errors import UserError, nearest
from deep3dmap.core.files import is_written_as_path
from deep3dmap.core.registry import Registry, datasets, methods

# Section of a method's config.yaml that is not a variant but its tuning search space.
TUNING = "tune"


def variant_file(registry: Registry, name: str) -> str:
    """Return the name of the variants file: config.yaml for a method, <module>.yaml for a dataset."""
    if registry is not datasets:
        return "config.yaml"
    module = registry.load(name).__module__
    return f"{module.rpartition('.')[2]}.yaml"


def variants(registry: Registry, name: str) -> dict[str, dict[str, Any]]:
    """Return {variant: overlay}, an overlay being nested sections of a run.

    In the file, a dataset's overlay contains its own fields, and a method's contains whole sections of a run. A class without
    a YAML file may define its variants in a class attribute `variants`.
    """
    overlays = {key: value or {} for key, value in _load_variants_file(registry, name).items()}
    if registry is datasets:
        overlays = {key: {"dataset": value} for key, value in overlays.items()}
    else:
        overlays.pop(TUNING, None)
    return {"default": {}, **overlays}


def tuning_space(method: str) -> dict[str, Any]:
    """Return {dotted key: text} from the `tune:` section of a method's variants file; empty if there is none."""
    return _load_variants_file(methods, method).get(TUNING) or {}


def _load_variants_file(registry: Registry, name: str) -> dict[str, dict[str, Any]]:
    file = registry.file(name, variant_file(registry, name))
    own = getattr(registry.load(name), "variants", {})
    read = own or (_read(file) if file else None) or {}
    if not isinstance(read, dict) or not all(isinstance(overlay, dict | None) for overlay in read.values()):
        raise UserError(f"{file or name}: variants must have the form NAME: {{SECTION: {{KEY: VALUE}}}}")
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
    """Raise UserError if the name in `name/variant` is not registered, or if a path is given instead of a method.

    Does not import anything.
    """
    name = split_choice(choice)[0]
    if registry is methods and name not in registry.names() and _is_path(choice):
        is_checkpoint = (Path(choice).expanduser() / "checkpoint.json").is_file()
        raise UserError(
            f"method={choice}: {'the folder of a checkpoint' if is_checkpoint else 'a path'}, but method= expects NAME or "
            f"NAME/VARIANT; add trainer.initialize_from=FOLDER to start from a checkpoint, or repeat a run's command with "
            f"--resume to continue it"
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

"""Usable registered names: a broken plugin is reported with its error and does not affect the others."""

from deep3dmap.config.variants import variants
from deep3dmap.core.errors import UserError
from deep3dmap.core.keys import Key, known_keys
from deep3dmap.core.registry import Registry, datasets, methods, suites


def get_load_error(registry: Registry, name: str) -> str:
    """Return why a registered name cannot be used (its class or its variants fail to load), or "" if it can."""
    try:
        registry.load(name)
        if registry is not suites:
            variants(registry, name)
    except UserError as error:
        return str(error)
    return ""


def list_working(registry: Registry) -> list[str]:
    """Return the usable names, sorted. Imports all registered classes."""
    return [name for name in registry.names() if not get_load_error(registry, name)]


def load_all_keys() -> dict[str, Key]:
    """Return the vocabulary including the keys of plugins, which are registered when their packages are imported."""
    for registry in (datasets, suites, methods):
        list_working(registry)
    return known_keys()

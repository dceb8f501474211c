"""Which registered names can be used: a plugin that is broken is named with its error and stands in nobody's way."""

from deep3dmap.config.variants import variants
from deep3dmap.core.errors import UserError
from deep3dmap.core.keys import Key, known_keys
from deep3dmap.core.registry import Registry, datasets, methods, suites


def broken(registry: Registry, name: str) -> str:
    """Return why a registered name cannot be used, "" if it can: its class does not load, or its variants cannot be read."""
    try:
        registry.load(name)
        if registry is not suites:
            variants(registry, name)
    except UserError as error:
        return str(error)
    return ""


def working(registry: Registry) -> list[str]:
    """Return the names that can be used, sorted. Imports what is registered."""
    return [name for name in registry.names() if not broken(registry, name)]


def every_key() -> dict[str, Key]:
    """Return the vocabulary with the keys of plugins, which a package describes when it is imported."""
    for registry in (datasets, suites, methods):
        working(registry)
    return known_keys()

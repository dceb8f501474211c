"""One-page summary of a registered method or dataset: its card, variants and documented options."""

from typing import Any

from deep3dmap.config.variants import variants
from deep3dmap.core.options import describe_options
from deep3dmap.core.registry import Registry


def card_page(registry: Registry, name: str) -> dict[str, Any]:
    """Return plain data: card, options (name, type, default, help) and variants."""
    registered = registry.load(name)
    options = [dict(zip(("name", "type", "default", "help"), row)) for row in describe_options(registered.config_type)]
    return {"name": name, "card": registered.card.as_dict(), "options": options, "variants": variants(registry, name)}

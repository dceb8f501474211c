"""Renderers by name, and their availability on this machine."""

import importlib
from collections.abc import Callable
from dataclasses import fields
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from deep3dmap.core.errors import UserError, unknown
from deep3dmap.render.renderer import Renderer

_CLASSES = {
    "hard": "deep3dmap.render.hard:HardRenderer",
    "soft": "deep3dmap.render.soft:SoftRenderer",
    "neural_mesh": "deep3dmap.render.neural_mesh:NeuralMeshRenderer",
    "pyrender": "deep3dmap.render.pyrender_renderer:PyrenderRenderer",
    "pytorch3d": "deep3dmap.render.pytorch3d_renderer:Pytorch3dRenderer",
    "volume": "deep3dmap.render.volume:VolumeRenderer",
}


def names() -> tuple[str, ...]:
    """Return the names of all renderers, including those whose library is not installed."""
    return tuple(_CLASSES)


def renderer_type(name: str) -> type[Renderer]:
    """Return the class of a renderer, with `name`, `differentiable` and `reference`; its library need not be installed.

    Raises UserError for an unknown name.
    """
    if name not in _CLASSES:
        raise unknown("renderer", name, _CLASSES)
    module, _, cls = _CLASSES[name].partition(":")
    found: type[Renderer] = getattr(importlib.import_module(module), cls)
    return found


def renderer(name: str, **options: Any) -> Renderer:
    """Build a renderer, e.g. `renderer("soft", sigma=1e-5)`.

    Raises UserError for an unknown name or option, an invalid option value, and a renderer whose library is not available.
    """
    cls = renderer_type(name)
    known = {field.name: field.type for field in fields(cls)}  # type: ignore[arg-type]
    for option, value in options.items():
        if option not in known:
            raise unknown(f"option of renderer {name}", option, known)
        _check_value(f"{name}.{option}", value, known[option])
    reason = _unavailable_reason(cls)
    if reason:
        raise UserError(f"renderer {name} cannot be used here: {reason}")
    try:
        return cls(**options)
    except (TypeError, ValueError) as error:
        raise UserError(f"renderer {name}: {error}") from error


def available() -> dict[str, str | None]:
    """Return for each renderer None if it is available on this machine, otherwise the reason and what to install."""
    return {name: _unavailable_reason(renderer_type(name)) for name in _CLASSES}


def _check_value(name: str, value: Any, kind: Any) -> None:
    """Raise UserError if a value does not have an option's type or is not one of its choices."""
    choices = get_args(kind)
    if get_origin(kind) is Literal:
        if value not in choices:
            raise UserError(f"{name}={value}: must be one of {', '.join(choices)}")
        return
    types = choices or (kind,)
    is_valid = type(value) in types or (float in types and type(value) is int)
    if not is_valid:
        words = {float: "a number", int: "a whole number", bool: "true or false", str: "a word", NoneType: "null"}
        raise UserError(f"{name}={value}: expected {' or '.join(words[one] for one in types)}")


def _unavailable_reason(cls: type[Renderer]) -> str | None:
    """Return why a renderer class is unavailable, or None; only classes with an optional library can be unavailable."""
    find_reason: Callable[[], str | None] | None = getattr(cls, "absent", None)
    return find_reason() if find_reason else None

"""The options of all methods: accepted numbers, and that the smallest values either build or raise a clear error."""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import Field, fields
from functools import cache
from typing import Any

import pytest

from deep3dmap.config.compose import build_section, check_value, compose_run
from deep3dmap.config.variants import variants
from deep3dmap.core.errors import UserError
from deep3dmap.core.options import Interval, check_options
from deep3dmap.core.registry import methods

NUMBERS = (int, float, list[int], list[float])


@cache
def smallest(name: str) -> dict[str, Any]:
    """Return the options of a method's smallest variant."""
    known = variants(methods, name)
    variant = next((f"/{one}" for one in ("mini", "smoke", "quick") if one in known), "")
    data = (*methods.load(name).card.tried_on, "heads")[0]
    options: dict[str, Any] = compose_run(name + variant, data).config["method"]
    return options


def numbers(name: str) -> Iterator["Field[Any]"]:
    for of in fields(methods.load(name).config_type):
        if of.type in NUMBERS and not of.metadata["choices"]:
            yield of


def as_given(of: "Field[Any]", number: float, like: Any) -> Any:
    """Return a number as a value of a field, in a list of the required length if the field is one."""
    number = int(number) if of.type in (int, list[int]) and math.isfinite(number) else number
    return [number] * (of.metadata["length"] or len(like) or 1) if isinstance(like, list) else number


def build(name: str, **changes: Any) -> Any:
    kind = methods.load(name)
    return kind(build_section(kind.config_type, {**smallest(name), **changes}, "method."))


@pytest.mark.parametrize("name", methods.names())
def test_every_number_says_what_is_possible_and_nothing_else_is_taken(name: str) -> None:
    for of in numbers(name):
        interval = Interval.parse(of.metadata["valid"])
        like = smallest(name)[of.name]
        assert all(end in interval for end in (of.metadata["low"], of.metadata["high"]) if end is not None), of.name
        outside = [interval.low - (0 if not interval.with_low else 1), interval.high + (0 if not interval.with_high else 1)]
        outside = [value for value in outside if math.isfinite(value)]
        outside += [math.nan, math.inf] if of.type in (float, list[float]) else []
        for value in outside:
            with pytest.raises(UserError, match=rf"method\.{of.name}=.*: must be "):
                check_value(methods.load(name).config_type, of.name, as_given(of, value, like), "method.")
        if of.metadata["length"]:
            with pytest.raises(UserError, match=rf"method\.{of.name}=.*: expects {of.metadata['length']} values"):
                check_value(methods.load(name).config_type, of.name, like[:-1], "method.")


@pytest.mark.parametrize("name", methods.names())
def test_the_smallest_possible_values_build_or_are_refused_with_a_reason(name: str) -> None:
    for of in numbers(name):
        interval = Interval.parse(of.metadata["valid"])
        if interval.with_low:
            with suppress(UserError):
                build(name, **{of.name: as_given(of, interval.low, smallest(name)[of.name])})


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("prnet", {"width": 3}, "method.width even, got 64 and 3"),
        ("prnet", {"resolution": 48}, "method.resolution must be a multiple of 32"),
        ("prnet", {"scale": [1.2, 0.9]}, "method.scale must be two numbers, the lower one first"),
        ("multiview_face", {"template_grid": 18}, "template_grid=18: must be odd"),
        ("random_cameras", {"lowest": 10.0, "highest": 0.0}, "method.lowest must not exceed method.highest, got 10 and 0"),
        ("giraffe", {"objects": 2, "object_counts": [-0.5, 1.5]}, r"object_counts=\[-0.5, 1.5\]: must be at least 0"),
        ("giraffe", {"camera_height": ["low", "high"]}, "method.camera_height"),
        ("neuralrecon", {"backend": "sparse"}, "method.backend=sparse: not a valid value"),
        ("neuralrecon", {"n_vox": [24, 24]}, r"n_vox=\[24, 24\]: expects 3 values, got 2"),
    ],
)
def test_options_that_do_not_go_together(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(name, **changes)


@pytest.mark.parametrize("name", methods.names())
def test_the_variants_keep_to_what_is_possible(name: str) -> None:
    for overlay in variants(methods, name).values():
        check_options(methods.load(name).config_type, overlay.get("method", {}), "method.")

"""Search spaces: domains for dotted keys of a run, written as `loguniform(1e-5, 1e-2)`, optionally conditional on another key:
`uniform(0.1, 0.9) if schedule.name == step`."""

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deep3dmap.core.errors import UserError, nearest
from deep3dmap.tune.domains import Choice, Domain, Integers, Numbers

GRAMMAR = "uniform, loguniform, quniform, randint, lograndint, near, choice and grid"
_NAMES = {"true": True, "false": False, "null": None, "None": None, "True": True, "False": False}


@dataclass(frozen=True)
class Condition:
    """Holds if `key` has one of `values`, or, if negated, none of them."""

    key: str
    values: tuple[Any, ...]
    negated: bool = False

    def holds(self, settings: Mapping[str, Any]) -> bool:
        """Return whether the condition holds; a key that is not set has no value."""
        return (settings.get(self.key) in self.values) != self.negated

    def text(self) -> str:
        """Return the condition in its text form."""
        options = Choice(self.values).text().removeprefix("choice")
        if len(self.values) == 1:
            return f"{self.key} {'!=' if self.negated else '=='} {options[1:-1]}"
        return f"{self.key} {'not in' if self.negated else 'in'} {options}"


@dataclass(frozen=True)
class Parameter:
    """A domain, with an optional condition on when the parameter is active."""

    domain: Domain
    condition: Condition | None = None

    def text(self) -> str:
        """Return the parameter in its text form."""
        return self.domain.text() + (f" if {self.condition.text()}" if self.condition else "")


@dataclass(frozen=True)
class SearchSpace:
    """Parameters by dotted key, ordered so that conditions refer to earlier ones. fixed: the run's settings, for conditions."""

    parameters: Mapping[str, Parameter]
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", _ordered(dict(self.parameters)))

    @property
    def is_conditional(self) -> bool:
        """Whether any parameter has a condition."""
        return any(parameter.condition for parameter in self.parameters.values())

    def build(self, value_of: Callable[[str, Domain], Any]) -> dict[str, Any]:
        """Return one point: `value_of(key, domain)` for each parameter that is active, given the values of those before it."""
        values: dict[str, Any] = {}
        for key, parameter in self.parameters.items():
            if parameter.condition is None or parameter.condition.holds({**self.fixed, **values}):
                values[key] = value_of(key, parameter.domain)
        return values

    def sample(self, generator: np.random.Generator) -> dict[str, Any]:
        """Draw one point."""
        return self.build(lambda _, domain: domain.sample(generator))

    def prune(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the active parameters, given a value for every parameter."""
        return self.build(lambda key, _: values[key])

    def contains(self, values: Mapping[str, Any]) -> bool:
        """Return whether the values are a point of the space."""
        try:
            built = self.build(lambda key, _: values[key])
        except KeyError:
            return False
        return set(built) == set(values) and all(self.parameters[k].domain.contains(v) for k, v in built.items())

    def default(self) -> dict[str, Any]:
        """Return the point given by the run's own settings, whether or not it is within the bounds."""
        return self.build(lambda key, _: self.fixed[key])

    def as_text(self) -> dict[str, str]:
        """Return the space in its text form."""
        return {key: parameter.text() for key, parameter in self.parameters.items()}


def parse_space(texts: Mapping[str, Any], fixed: Mapping[str, Any]) -> SearchSpace:
    """Parse a space from {dotted key: text}; raises UserError that names the key of an invalid entry.

    fixed: {dotted key: value} of the run, which must contain every key of the space.
    """
    for key in texts:
        if key not in fixed:
            raise UserError(f"tune.space.{key}: the run has no such key{nearest(key, fixed)}")
    space = SearchSpace({key: parse_parameter(key, text, fixed[key]) for key, text in texts.items()}, fixed)
    for key, parameter in space.parameters.items():
        if parameter.condition and parameter.condition.key not in fixed:
            asked = parameter.condition.key
            raise UserError(f"tune.space.{key}: its condition refers to the unknown key '{asked}'{nearest(asked, fixed)}")
    return space


def parse_parameter(key: str, text: Any, configured: Any = None) -> Parameter:
    """Parse one parameter, whose value in the run is `configured`; raises UserError."""
    if isinstance(text, list):
        return Parameter(_checked(key, text, lambda: Choice(tuple(text))))
    written, _, condition = str(text).partition(" if ")
    domain = _checked(key, text, lambda: _domain(ast.parse(written.strip(), mode="eval").body, configured))
    if not condition:
        return Parameter(domain)
    return Parameter(domain, _checked(key, text, lambda: _condition(condition.strip())))


def _checked(key: str, text: Any, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (ValueError, TypeError) as error:
        raise UserError(f"tune.space.{key}={text}: {error}") from error
    except SyntaxError as error:
        raise UserError(
            f"tune.space.{key}={text}: cannot be parsed; use one of {GRAMMAR}, e.g. loguniform(1e-5,1e-2)"
        ) from error


def _domain(node: ast.expr, configured: Any) -> Domain:
    if isinstance(node, ast.Tuple):
        return Choice(tuple(_value(item) for item in node.elts))
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise ValueError(f"this is a single value; a domain is one of {GRAMMAR}")
    if node.keywords:
        raise ValueError("bounds must be given without names")
    name, arguments = node.func.id, [_value(argument) for argument in node.args]
    makers: dict[str, tuple[int | None, Callable[..., Domain]]] = {
        "uniform": (2, lambda low, high: Numbers(float(low), float(high))),
        "loguniform": (2, lambda low, high: Numbers(float(low), float(high), log=True)),
        "quniform": (3, lambda low, high, step: Numbers(float(low), float(high), step=float(step))),
        "randint": (2, Integers),
        "lograndint": (2, lambda low, high: Integers(low, high, log=True)),
        "near": (1, lambda factor: _near(configured, float(factor))),
        "choice": (None, lambda *options: Choice(tuple(options))),
        "grid": (None, lambda *options: Choice(tuple(options), grid=True)),
    }
    if name not in makers:
        raise ValueError(f"unknown domain '{name}'{nearest(name, makers)}")
    count, make = makers[name]
    if count is not None and len(arguments) != count:
        raise ValueError(f"{name} takes {count} numbers, not {len(arguments)}")
    if count is None and len(arguments) == 1 and isinstance(arguments[0], list):
        arguments = arguments[0]
    return make(*arguments)


def _near(configured: Any, factor: float) -> Domain:
    if not isinstance(configured, int | float) or isinstance(configured, bool) or configured <= 0 or factor <= 1:
        raise ValueError(f"near(FACTOR) needs a factor above 1 and a configured number above 0, not '{configured}'")
    if isinstance(configured, int):
        return Integers(max(1, round(configured / factor)), max(2, round(configured * factor)), log=True)
    return Numbers(float(f"{configured / factor:.6g}"), float(f"{configured * factor:.6g}"), log=True)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return _NAMES.get(node.id, node.id)
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ValueError(f"'{ast.unparse(node)}' is not a plain value; quote text that is more than one word") from error


def _condition(text: str) -> Condition:
    found = re.fullmatch(r"([\w.]+)\s*(==|!=|not in|in)\s*(.+)", text)
    if not found:
        raise ValueError(f"the condition '{text}' is not KEY == VALUE, KEY != VALUE, KEY in [A, B] or KEY not in [A, B]")
    key, operator, rest = found.groups()
    node = ast.parse(rest, mode="eval").body
    several = [_value(item) for item in node.elts] if isinstance(node, ast.List | ast.Tuple) else [_value(node)]
    return Condition(key, tuple(several), operator in ("!=", "not in"))


def _ordered(parameters: dict[str, Parameter]) -> dict[str, Parameter]:
    ordered: dict[str, Parameter] = {}
    waiting = dict(parameters)
    while waiting:
        ready = [k for k, p in waiting.items() if p.condition is None or p.condition.key not in waiting]
        if not ready:
            raise UserError(f"tune.space: the conditions of {', '.join(sorted(waiting))} form a cycle")
        ordered.update({key: waiting.pop(key) for key in ready})
    return ordered

"""A search space: dotted keys of a run and what each may be, written as `loguniform(1e-5, 1e-2)`, some only where another
key has a value: `uniform(0.1, 0.9) if schedule.name == step`."""

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
    """Holds where `key` has one of `values`, or, negated, none of them."""

    key: str
    values: tuple[Any, ...]
    negated: bool = False

    def holds(self, settings: Mapping[str, Any]) -> bool:
        """Whether it holds; a key that is not set has no value."""
        return (settings.get(self.key) in self.values) != self.negated

    def text(self) -> str:
        """The condition as it is written."""
        options = Choice(self.values).text().removeprefix("choice")
        if len(self.values) == 1:
            return f"{self.key} {'!=' if self.negated else '=='} {options[1:-1]}"
        return f"{self.key} {'not in' if self.negated else 'in'} {options}"


@dataclass(frozen=True)
class Parameter:
    """A domain, and when the parameter counts."""

    domain: Domain
    condition: Condition | None = None

    def text(self) -> str:
        """The parameter as it is written."""
        return self.domain.text() + (f" if {self.condition.text()}" if self.condition else "")


@dataclass(frozen=True)
class SearchSpace:
    """Parameters by dotted key, those that conditions ask for first. fixed: the run's own settings, for conditions on them."""

    parameters: Mapping[str, Parameter]
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", _ordered(dict(self.parameters)))

    @property
    def is_conditional(self) -> bool:
        """Whether any parameter has a condition."""
        return any(parameter.condition for parameter in self.parameters.values())

    def build(self, value_of: Callable[[str, Domain], Any]) -> dict[str, Any]:
        """Return one point: `value_of(key, domain)` is asked for each parameter that counts, given those before."""
        values: dict[str, Any] = {}
        for key, parameter in self.parameters.items():
            if parameter.condition is None or parameter.condition.holds({**self.fixed, **values}):
                values[key] = value_of(key, parameter.domain)
        return values

    def sample(self, generator: np.random.Generator) -> dict[str, Any]:
        """Draw one point."""
        return self.build(lambda _, domain: domain.sample(generator))

    def prune(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what counts of a value for every parameter."""
        return self.build(lambda key, _: values[key])

    def contains(self, values: Mapping[str, Any]) -> bool:
        """Whether values are a point of the space."""
        try:
            built = self.build(lambda key, _: values[key])
        except KeyError:
            return False
        return set(built) == set(values) and all(self.parameters[k].domain.contains(v) for k, v in built.items())

    def default(self) -> dict[str, Any]:
        """Return the point that the run's own settings are, whether or not it is within the bounds."""
        return self.build(lambda key, _: self.fixed[key])

    def as_text(self) -> dict[str, str]:
        """Return the space as it is written."""
        return {key: parameter.text() for key, parameter in self.parameters.items()}


def parse_space(texts: Mapping[str, Any], fixed: Mapping[str, Any]) -> SearchSpace:
    """Read a space from {dotted key: text}; raises UserError for a mistake, naming the key.

    fixed: {dotted key: value} of the run. Every key has to be one of it.
    """
    for key in texts:
        if key not in fixed:
            raise UserError(f"tune.space.{key}: the run has no such key{nearest(key, fixed)}")
    space = SearchSpace({key: parse_parameter(key, text, fixed[key]) for key, text in texts.items()}, fixed)
    for key, parameter in space.parameters.items():
        if parameter.condition and parameter.condition.key not in fixed:
            asked = parameter.condition.key
            raise UserError(f"tune.space.{key}: its condition asks for '{asked}'{nearest(asked, fixed)}")
    return space


def parse_parameter(key: str, text: Any, configured: Any = None) -> Parameter:
    """Read one parameter of a run that has `configured` there; raises UserError."""
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
            f"tune.space.{key}={text}: cannot be read; write one of {GRAMMAR}, e.g. loguniform(1e-5,1e-2)"
        ) from error


def _domain(node: ast.expr, configured: Any) -> Domain:
    if isinstance(node, ast.Tuple):
        return Choice(tuple(_value(item) for item in node.elts))
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise ValueError(f"this is a single value; a space is one of {GRAMMAR}")
    if node.keywords:
        raise ValueError("bounds have no names")
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
        raise ValueError(f"no space is called '{name}'{nearest(name, makers)}")
    count, make = makers[name]
    if count is not None and len(arguments) != count:
        raise ValueError(f"{name} takes {count} numbers, not {len(arguments)}")
    if count is None and len(arguments) == 1 and isinstance(arguments[0], list):
        arguments = arguments[0]
    return make(*arguments)


def _near(configured: Any, factor: float) -> Domain:
    if not isinstance(configured, int | float) or isinstance(configured, bool) or configured <= 0 or factor <= 1:
        raise ValueError(f"near(FACTOR) takes a factor above 1 and a configured number above 0, which '{configured}' is not")
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
        raise ValueError(f"'{ast.unparse(node)}' is no plain value; quote a text that is more than a word") from error


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
            raise UserError(f"tune.space: {', '.join(sorted(waiting))} wait for each other; a condition may not go in a circle")
        ordered.update({key: waiting.pop(key) for key in ready})
    return ordered

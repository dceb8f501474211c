"""Search spaces: their text form, samples drawn from them, and user errors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deep3dmap.config.compose import compose_run
from deep3dmap.config.variants import variants
from deep3dmap.core import UserError, methods
from deep3dmap.tune.default_space import default_space
from deep3dmap.tune.domains import Choice, Integers, Numbers
from deep3dmap.tune.options import TuneOptions
from deep3dmap.tune.plan import _space, with_values
from deep3dmap.tune.search_space import SearchSpace, parse_parameter, parse_space
from deep3dmap.tune.tune_arguments import parse_arguments

FIXED = {"optimizer.lr": 1e-3, "optimizer.name": "adam", "optimizer.momentum": 0.9, "schedule.name": "step", "method.width": 8}
TOY = "toys:Regression"


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("uniform(0,1)", Numbers(0, 1)),
        ("loguniform(1e-5, 1e-2)", Numbers(1e-5, 1e-2, log=True)),
        ("quniform(0.1,0.9,0.2)", Numbers(0.1, 0.9, step=0.2)),
        ("randint(2,16)", Integers(2, 16)),
        ("lograndint(4,64)", Integers(4, 64, log=True)),
        ("near(4)", Numbers(0.25e-3, 4e-3, log=True)),
        ("choice(adam, sgd)", Choice(("adam", "sgd"))),
        ("choice(1, 2.5, true, null, 'a b')", Choice((1, 2.5, True, None, "a b"))),
        ("choice([0.9, 0.95], [0.9, 0.999])", Choice(([0.9, 0.95], [0.9, 0.999]))),
        ("choice([4, 8])", Choice((4, 8))),
        ("1e-4,1e-3", Choice((1e-4, 1e-3))),
        ("grid(1,2)", Choice((1, 2), grid=True)),
    ],
)
def test_what_is_written_is_read_and_written_again(text: str, domain: Any) -> None:
    read = parse_parameter("optimizer.lr", text, 1e-3)
    assert read.domain == domain
    assert parse_parameter("optimizer.lr", read.text()).domain == domain


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"optimizer.lr": "loguniform(0,1)"}, "a logarithmic range must start above 0"),
        ({"optimizer.lr": "uniform(2,1)"}, "the lower bound 2 is not below the upper bound 1"),
        ({"optimizer.lr": "lognormal(1,2)"}, "unknown domain 'lognormal'; did you mean 'loguniform'"),
        ({"optimizer.lr": "uniform(1)"}, "uniform takes 2 numbers, not 1"),
        ({"optimizer.lr": "0.1"}, "this is a single value"),
        ({"optimizer.lr": "uniform(0,1"}, "cannot be parsed"),
        ({"optimizer.lr": "choice(a/b)"}, "quote text that is more than one word"),
        ({"optimizer.lr": "choice(1,1)"}, "a value occurs twice"),
        ({"optimizer.name": "near(3)"}, "near.FACTOR. needs a factor above 1"),
        ({"optimizer.lr": "uniform(0,1) if a b"}, "the condition 'a b' is not KEY == VALUE"),
        ({"optimizer.rate": "uniform(0,1)"}, "the run has no such key; did you mean 'optimizer.name'|the run has no such key"),
        (
            {"optimizer.lr": "uniform(0,1) if optimizer.nam == sgd"},
            "refers to the unknown key 'optimizer.nam'; did you mean 'optimizer.name'",
        ),
        (
            {
                "optimizer.lr": "uniform(0,1) if optimizer.momentum == 0",
                "optimizer.momentum": "uniform(0,1) if optimizer.lr == 0",
            },
            "form a cycle",
        ),
    ],
)
def test_a_mistake_gets_one_line_that_names_the_key(texts: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        parse_space(texts, FIXED)
    assert "tune.space" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_parameter_counts_only_where_its_condition_holds() -> None:
    space = parse_space(
        {
            "optimizer.momentum": "uniform(0,0.99) if optimizer.name == sgd",
            "optimizer.name": "choice(adam, sgd, adamw)",
            "optimizer.lr": "uniform(0,1) if schedule.name in [cosine, constant]",
            "method.width": "randint(1,3) if optimizer.name not in [sgd, adamw]",
        },
        FIXED,
    )
    generator = np.random.default_rng(0)
    drawn = [space.sample(generator) for _ in range(60)]
    assert {values["optimizer.name"] for values in drawn} == {"adam", "sgd", "adamw"}
    for values in drawn:
        assert ("optimizer.momentum" in values) == (values["optimizer.name"] == "sgd")
        assert ("method.width" in values) == (values["optimizer.name"] == "adam")
        assert "optimizer.lr" not in values  # the run itself has another schedule
        assert space.contains(values)
    assert not space.contains({"optimizer.name": "adam", "optimizer.momentum": 0.5, "method.width": 2})
    assert parse_space(space.as_text(), FIXED).as_text() == space.as_text()
    assert space.default() == {"optimizer.name": "adam", "method.width": 8}


@given(st.floats(0, 1), st.sampled_from([Numbers(1e-5, 1e-2, log=True), Numbers(-2, 3), Numbers(0.1, 0.9, step=0.25)]))
def test_numbers_stay_within_their_bounds_and_find_their_place_again(position: float, domain: Numbers) -> None:
    value = domain.from_unit(position)
    assert domain.contains(value)
    if not domain.step:
        assert domain.to_unit(value) == pytest.approx(position, abs=1e-4)
    else:
        steps = (value - domain.low) / domain.step
        assert steps == pytest.approx(round(steps), abs=1e-5) or value == domain.high


@pytest.mark.parametrize("domain", [Integers(1, 4), Integers(1, 4, log=True)])
def test_whole_numbers_include_both_ends(domain: Integers) -> None:
    generator = np.random.default_rng(1)
    counts = np.bincount([domain.sample(generator) for _ in range(4000)], minlength=5)[1:]
    assert counts.sum() == 4000
    assert counts.min() > 300
    if domain.log:
        assert counts[0] > 1.5 * counts[3]
    else:
        assert counts == pytest.approx(np.full(4, 1000), rel=0.15)


@pytest.mark.parametrize("draw", [Numbers(1e-4, 1e-2, log=True), Integers(2, 9), Choice(("a", "b")), Numbers(0, 1, step=0.5)])
def test_the_domains_of_ray_draw_from_the_same_values(draw: Any) -> None:
    domain = draw.to_tune()
    assert all(draw.contains(domain.sample()) for _ in range(50))


def test_every_registered_method_has_a_space_its_configuration_lies_in() -> None:
    for name in methods.names():
        for variant in set(variants(methods, name)) & {"default", "mini", "quick", "smoke"}:
            composed = compose_run(f"{name}/{variant}", "toys:Dots")
            if not default_texts(name, composed.config):
                continue
            space = _space(composed, TuneOptions(), {})
            assert space.parameters, name
            values = space.sample(np.random.default_rng(3))
            changed = with_values(composed.config, values)
            assert all(_at(changed, key) == value for key, value in values.items())


def default_texts(name: str, config: dict[str, Any]) -> dict[str, str]:
    try:
        return default_space(name, config)
    except UserError:
        return {}


def _at(config: dict[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value[part]
    return value


def test_the_space_of_a_method_without_one_comes_from_its_options() -> None:
    composed = compose_run(f"{TOY}/mini", "toys:Dots")
    assert default_space(TOY, composed.config) == {"optimizer.lr": "loguniform(0.001, 0.1)", "method.hidden": "randint(2, 32)"}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"method.hidden": "uniform(2,32)"}, "method.hidden=uniform.*could not be converted to Integer|type '?int"),
        ({"trainer.workers": "randint(1,2)"}, "this is not a setting of a method"),
        ({"method.dropout": "auto"}, "the option specifies no bounds"),
    ],
)
def test_a_space_is_checked_before_the_first_trial(space: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        _space(compose_run(f"{TOY}/mini", "toys:Dots"), TuneOptions(), space)


def test_arguments_are_split_into_options_space_and_run() -> None:
    request = parse_arguments(
        ["method=a/b", "tune.space.optimizer.lr=uniform(0, 1) if x.y == 2", "tune.trials=5", "tune.asha.grace=20", "seed=3"]
    )
    assert (request.method, request.space) == ("a/b", {"optimizer.lr": "uniform(0, 1) if x.y == 2"})
    assert (request.options.trials, request.options.asha.grace, request.overrides) == (5, 20.0, ("seed=3",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tune.trails=5", "unknown key 'tune.trails'; did you mean 'tune.trials'"),
        ("tune.scheduler=ahsa", "tune.scheduler=ahsa: not a valid value; did you mean 'asha'"),
        ("tune.trials=0", "at least 1"),
        ("tune.asha.grace=much", "could not be converted to Float"),
    ],
)
def test_a_wrong_option_gets_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_arguments([text])


def test_the_default_point_is_the_run_itself() -> None:
    space: SearchSpace = parse_space({"optimizer.lr": "near(2)"}, FIXED)
    build: Callable[[], dict[str, Any]] = space.default
    assert build() == {"optimizer.lr": 1e-3}

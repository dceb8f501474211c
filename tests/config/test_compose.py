"""Composition: types, variants, layers, sources of values, and user mistakes."""

import pytest

from deep3dmap.config.compose import Layer, build_section, compose_dataset, compose_run, layer_of
from deep3dmap.config.overrides import as_override, split_override
from deep3dmap.config.schema import DataConfig, OptimizerConfig, RunConfig, ScheduleConfig, TrainerConfig
from deep3dmap.config.variants import variants
from deep3dmap.core import UserError, datasets, methods
from deep3dmap.core.nested import flatten
from deep3dmap.core.options import describe_options

TOY, WORLD = "toys:Regression", "toys:Dots"


def line(*texts: str) -> tuple[Layer, ...]:
    return (Layer("command line", texts),)


def test_layers_win_in_order_and_sources_are_kept() -> None:
    layers = (
        layer_of("tier", {"trainer": {"max_seconds": 25, "batch_size": 2}}),
        *line("trainer.batch_size=8", "inputs.image=crop"),
    )
    composed = compose_run(f"{TOY}/mini", WORLD, layers)
    assert composed.config["trainer"]["max_seconds"] == 25
    assert composed.config["trainer"]["batch_size"] == 8
    assert composed.config["optimizer"]["lr"] == 0.01
    assert composed.config["inputs"] == {"image": "crop"}
    expected = {
        "trainer.max_seconds": "tier",
        "trainer.batch_size": "command line",
        "optimizer.lr": f"variant {TOY}/mini",
        "method.hidden": "default",
    }
    assert {key: composed.sources[key] for key in expected} == expected
    assert set(composed.sources) >= set(flatten({k: v for k, v in composed.config.items() if k != "schema"}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainer.workerz=1", "unknown key 'trainer.workerz'; did you mean 'trainer.workers'"),
        ("methd.hidden=1", "did you mean 'method.hidden'"),
        ("lr=1", "unknown key 'lr'; did you mean 'optimizer.lr'?"),
        ("trainer.lr=1", "unknown key 'trainer.lr'; did you mean 'optimizer.lr'?"),
        ("fit.zzz=1", "unknown key 'fit.zzz'; available: fit.checkpoint_every, fit.log_every, fit.max_seconds, fit.max_steps$"),
        ("zzz=1", "unknown key 'zzz'; available: data.KEY, dataset.KEY, device, fit.KEY, inputs"),
        ("method.hidden=many", "method.hidden.*could not be converted to Integer"),
        ("seed=x", "could not be converted to Integer"),
        ("no equals sign", "arguments are key=value"),
    ],
)
def test_mistakes_get_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose_run(TOY, WORLD, line(text))


def test_unknown_names_and_variants() -> None:
    with pytest.raises(UserError, match="unknown method 'prnett'; did you mean 'prnet'"):
        compose_run("prnett", WORLD)
    with pytest.raises(UserError, match="no variant 'minni'; did you mean 'mini'"):
        compose_run(f"{TOY}/minni", WORLD)
    with pytest.raises(UserError, match="did you mean 'heads'"):
        compose_dataset("headz")


def test_sections_become_typed_objects() -> None:
    trainer = build_section(TrainerConfig, {"workers": 2})
    assert (trainer.workers, trainer.max_steps) == (2, None)
    with pytest.raises(UserError, match=r"^trainer\.workers: .*could not be converted to Integer"):
        build_section(TrainerConfig, {"workers": "many"}, "trainer.")


@pytest.mark.parametrize("value", [None, True, 3, 1e-5, "a b", "it's", "/x/y=z", [1, "two"], {"a": 1}, [], "null", "5"])
def test_overrides_round_trip(value: object) -> None:
    assert split_override(as_override("a.b", value)) == ("a.b", value)


@pytest.mark.parametrize("schema", [TrainerConfig, OptimizerConfig, ScheduleConfig, DataConfig])
def test_every_field_is_documented(schema: type) -> None:
    assert all(text for _, _, _, text in describe_options(schema))
    assert {"seed", "device", "results", "inputs"} <= {name for name, _, _, _ in describe_options(RunConfig)}


@pytest.mark.parametrize("name", methods.names())
def test_every_variant_of_every_method_composes(name: str) -> None:
    for variant in variants(methods, name):
        composed = compose_run(f"{name}/{variant}", WORLD)
        build_section(methods.load(name).config_type, composed.section("method"))


@pytest.mark.parametrize("name", datasets.names())
def test_every_variant_of_every_dataset_composes(name: str) -> None:
    for variant in variants(datasets, name):
        section = compose_dataset(f"{name}/{variant}")["dataset"]
        build_section(datasets.load(name).config_type, section)

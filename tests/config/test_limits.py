"""Invalid values are rejected when a run is composed, in one line that names the key."""

from dataclasses import dataclass

import pytest

from deep3dmap.bench.benchmark_arguments import parse_arguments
from deep3dmap.config.compose import Layer, build_section, compose_dataset, compose_run
from deep3dmap.core import UserError
from deep3dmap.core.options import Interval, check_options, option
from deep3dmap.tune.tune_arguments import parse_arguments as parse_tune_arguments


@dataclass
class Sizes:
    """Options with every kind of limit."""

    share: float = option(0.5, "a share", valid="[0, 1)")
    scales: list[float] = option([1.0], "positive numbers", valid="(0, inf)")
    width: int = option(8, "a width", low=4, high=16)
    kind: str = option("a", "a kind", choices=("a", "b"))
    place: list[float] = option([0.0, 0.0], "x and y", length=2)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("[0, 1)", (0, 0.5), (-0.1, 1, float("nan"))),
        ("(0, inf)", (1e-9, 1e9), (0, -1, float("inf"), float("nan"))),
        ("[-2, 2]", (-2, 2), (-2.1, 2.1)),
    ],
)
def test_an_interval_holds_what_is_inside(text: str, inside: tuple[float, ...], outside: tuple[float, ...]) -> None:
    interval = Interval.parse(text)
    assert all(value in interval for value in inside)
    assert not any(value in interval for value in outside)


def test_what_is_no_interval_is_refused_where_it_is_declared() -> None:
    with pytest.raises(ValueError, match=r"'0..1' is not an interval"):
        option(0.5, "a share", valid="0..1")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": 1.0}, "x.share=1.0: must be at least 0 and less than 1"),
        ({"share": float("nan")}, "x.share=nan: must be"),
        ({"scales": [1.0, 0.0]}, r"x.scales=\[1.0, 0.0\]: must be more than 0"),
        ({"kind": "c"}, "x.kind=c: not a valid value"),
        ({"place": [1.0]}, r"x.place=\[1.0\]: expects 2 values, got 1"),
    ],
)
def test_impossible_values(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_options(Sizes, values, "x.")


def test_the_range_of_a_sweep_is_a_limit_only_where_nothing_is_searched() -> None:
    check_options(Sizes, {"width": 64}, "method.")
    with pytest.raises(UserError, match=r"dataset.width=64: must be at least 4 and at most 16"):
        check_options(Sizes, {"width": 64}, "dataset.", searched=False)


def test_sections_are_checked_and_their_keys_named() -> None:
    assert build_section(Sizes, {"width": 64}).width == 64
    with pytest.raises(UserError, match=r"unknown key 'x.widht'; did you mean 'x.width'"):
        build_section(Sizes, {"widht": 64}, "x.")
    with pytest.raises(UserError, match=r"x.scales: expected a list"):
        build_section(Sizes, {"scales": 1}, "x.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainer.batch_size=0", "trainer.batch_size=0: must be at least 1"),
        ("trainer.workers=0", "trainer.workers=0: must be at least 1"),
        ("trainer.max_steps=-1", "trainer.max_steps=-1: must be at least 0"),
        ("trainer.precision=fp8", "trainer.precision=fp8: not a valid value"),
        ("trainer.accumulate=3", "trainer.batch_size=16: must be a multiple of workers x accumulate = 1 x 3"),
        ("trainer.min_workers=2", "trainer.min_workers=2: must be at most trainer.workers=1"),
        ("optimizer.lr=-1", "optimizer.lr=-1.0: must be more than 0"),
        ("optimizer.lr=nan", "optimizer.lr=nan: must be more than 0"),
        ("optimizer.name=adm", "optimizer.name=adm: not a valid value; did you mean 'adam'"),
        ("optimizer.betas=[0.9,1]", "must be at least 0 and less than 1"),
        ("optimizer.betas=0.9", "optimizer.betas: expected a list"),
        ("optimizer.betas=0.9,0.99", r"write a list as optimizer.betas=\[0.9,0.99\]"),
        ("data.workers=-1", "data.workers=-1: must be at least 0"),
        ("seed=-1", "seed=-1: must be at least 0"),
        ("dataset.test=-1", "dataset.test=-1: must be at least 1"),
    ],
)
def test_a_run_that_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        compose_run("toys:Regression", "heads/smoke", (Layer("command line", (text,)),))


def test_a_dataset_that_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match=r"dataset.image_size=-3: must be at least 32"):
        compose_dataset("heads/smoke", (Layer("command line", ("dataset.image_size=-3",)),))


@pytest.mark.parametrize("text", ["seeds=-1", "scenes=-2", "tuning=-1"])
def test_a_benchmark_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=f"{text}: must be at least 0"):
        parse_arguments([text])


def test_a_sweep_that_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match=r"tune.trials=0: must be at least 1"):
        parse_tune_arguments(["tune.trials=0"])
    with pytest.raises(UserError, match=r"tune.searcher=optna: not a valid value; did you mean 'optuna'"):
        parse_tune_arguments(["tune.searcher=optna"])


def test_one_name_is_a_list_of_one() -> None:
    assert parse_arguments(["methods=prnet", "trackers=tensorboard"]).own.methods == ["prnet"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method.pernet.width=8", "no method 'pernet' in this benchmark; did you mean 'method.prnet.width'"),
        ("dataset.haeds.train=8", "no dataset 'haeds' in this benchmark; did you mean 'dataset.heads.train'"),
        ("method.tsdf_fusion.color=true", "no method 'tsdf_fusion' in this benchmark"),
    ],
)
def test_values_of_what_is_not_run_are_refused(text: str, message: str) -> None:
    request = parse_arguments([text])
    with pytest.raises(UserError, match=message):
        request.check_names(["prnet/mini", "mean_face"], ["heads/smoke", "aflw2000"])


def test_values_of_what_is_run_are_taken() -> None:
    request = parse_arguments(["method.prnet.width=8", "method.TinyFace.hidden=4", "dataset.heads.train=8", "method.width=8"])
    request.check_names(["prnet/mini", "my_method:TinyFace/mini"], ["heads/smoke"])

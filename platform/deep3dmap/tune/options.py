"""The documented options of a sweep: `tune.KEY=` on the command line, one dataclass per searcher and scheduler."""

import importlib.util
from dataclasses import dataclass, field

from deep3dmap.core.errors import UserError
from deep3dmap.core.options import option

SEARCHERS = ("optuna", "hyperopt", "random", "grid")
# What has to be installed beside deep3dmap.
LIBRARIES = {"hyperopt": "hyperopt"}
SCHEDULERS = ("asha", "hyperband", "median", "pbt", "pb2", "none")
# These set trials aside and take them up again, which only a trial in its own process survives without losing its workers.
PAUSING = ("hyperband", "pbt", "pb2")
OBJECTIVES = ("quality", "seconds", "memory")


@dataclass
class OptunaOptions:
    """Tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), with several objectives its multi-objective form."""

    startup: int = option(5, "trials that are drawn at random before the model is asked", low=1, high=50)
    multivariate: bool = option(True, "model the parameters together")
    constant_liar: bool = option(True, "keep away from what is being tried at the moment")


@dataclass
class HyperOptOptions:
    """HyperOpt's tree-structured Parzen estimator."""

    startup: int = option(5, "trials that are drawn at random before the model is asked", low=1, high=50)
    gamma: float = option(0.25, "share of the trials that count as good", low=0.05, high=0.5)


@dataclass
class AshaOptions:
    """Asynchronous successive halving (Li et al., MLSys 2020)."""

    grace: float = option(10.0, "percent of the budget before a trial may be stopped", low=1.0, high=50.0)
    reduction: float = option(3.0, "one of so many trials goes on at each rung", low=2.0, high=5.0)
    brackets: int = option(1, "brackets, each with a later first rung", low=1, high=4)


@dataclass
class HyperBandOptions:
    """Synchronous HyperBand (Li et al., JMLR 2018): trials of a bracket wait for each other."""

    reduction: float = option(3.0, "one of so many trials goes on at each rung", low=2.0, high=5.0)


@dataclass
class MedianOptions:
    """Stop what is worse than the median of the others' running means (Golovin et al., KDD 2017)."""

    grace: float = option(20.0, "percent of the budget before a trial may be stopped", low=1.0, high=50.0)
    required: int = option(3, "trials that must have come as far", low=2, high=20)


@dataclass
class PbtOptions:
    """Population based training (Jaderberg et al., 2017): the worst go on from copies of the best, with changed settings."""

    every: float = option(20.0, "percent of the budget between two exchanges", low=2.0, high=50.0)
    quantile: float = option(0.25, "share of the population that is copied, and that is replaced", low=0.05, high=0.5)
    resample: float = option(0.25, "probability that a setting is drawn anew instead of changed a little", low=0.0, high=1.0)


@dataclass
class Pb2Options:
    """Population based bandits (Parker-Holder et al., NeurIPS 2020): as PBT, with a Gaussian process that says what changes."""

    every: float = option(20.0, "percent of the budget between two exchanges", low=2.0, high=50.0)
    quantile: float = option(0.25, "share of the population that is copied, and that is replaced", low=0.05, high=0.5)


@dataclass
class TuneOptions:
    """What is searched for, how, and when it ends."""

    name: str = option("", "name of the sweep (default: METHOD-DATASET and a hash of what is asked)")
    trials: int = option(12, "configurations to try, the run's own among them", valid="[1, inf)")
    metric: str = option(
        "validation_loss", "a metric of the method's validation, or SUITE/METRIC, scored on the validation split"
    )
    mode: str = option(
        "", "min or max (default: min, and for SUITE/METRIC what the suite's card says)", choices=("", "min", "max")
    )
    objectives: list[str] = option(["quality"], "quality, seconds, memory: with several the answer is a Pareto front")
    searcher: str = option("optuna", f"who proposes configurations: {', '.join(SEARCHERS)}", choices=SEARCHERS)
    scheduler: str = option("asha", f"who ends trials early or changes them: {', '.join(SCHEDULERS)}", choices=SCHEDULERS)
    evaluations: int = option(10, "validations per trial, where trainer.evaluate_every names no other number", valid="[1, inf)")
    scenes: int = option(0, "SUITE/METRIC: score at most so many validation samples (0 = all)", valid="[0, inf)")
    default_first: bool = option(True, "the first trial is the run as it is configured, trained to the end")
    extend: bool = option(False, "lay the tune.space.KEY= given over the method's own space instead of using them alone")
    seed: int = option(0, "seed of the search; the runs have `seed=`")
    concurrent: int = option(0, "trials at the same time (0 = as many as the resources allow)", valid="[0, inf)")
    max_seconds: float = option(
        0.0, "stop the sweep after so many seconds, resumed time included (0 = no limit)", valid="[0, inf)"
    )
    max_gpu_hours: float = option(0.0, "stop the sweep after so many hours of one GPU (0 = no limit)", valid="[0, inf)")
    plateau: int = option(0, "stop after so many finished trials without a better one (0 = no limit)", valid="[0, inf)")
    tolerance: float = option(
        0.0, "plateau: what is better by no more than this share is not better", low=0.0, high=0.1, valid="[0, inf)"
    )
    optuna: OptunaOptions = field(default_factory=OptunaOptions)
    hyperopt: HyperOptOptions = field(default_factory=HyperOptOptions)
    asha: AshaOptions = field(default_factory=AshaOptions)
    hyperband: HyperBandOptions = field(default_factory=HyperBandOptions)
    median: MedianOptions = field(default_factory=MedianOptions)
    pbt: PbtOptions = field(default_factory=PbtOptions)
    pb2: Pb2Options = field(default_factory=Pb2Options)


# When a sweep ends and how many trials it may have at a time: a resumed sweep may be given others.
LIMITS = ("trials", "concurrent", "max_seconds", "max_gpu_hours", "plateau", "tolerance")


def check_library(searcher: str) -> None:
    """Raise UserError if the library of a searcher is not installed; it is not imported."""
    package = LIBRARIES.get(searcher)
    if package and importlib.util.find_spec(package) is None:
        raise UserError(
            f"tune.searcher={searcher} needs the package '{package}'; pip install 'deep3dmap[{package}]', or leave it out"
        )

"""The documented options of a sweep: `tune.KEY=` on the command line, one dataclass per searcher and scheduler."""

import importlib.util
from dataclasses import dataclass, field

from deep3dmap.core.errors import UserError
from deep3dmap.core.options import option

SEARCHERS = ("optuna", "hyperopt", "random", "grid")
# Additional package that a searcher requires.
LIBRARIES = {"hyperopt": "hyperopt"}
SCHEDULERS = ("asha", "hyperband", "median", "pbt", "pb2", "none")
# Schedulers that pause and resume trials, which is possible only for trials that train in their own process: a paused trial
# would lose its Ray Train workers.
PAUSING = ("hyperband", "pbt", "pb2")
OBJECTIVES = ("quality", "seconds", "memory")


@dataclass
class OptunaOptions:
    """Tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), multi-objective if there are several objectives."""

    startup: int = option(5, "random trials before the model is used", low=1, high=50)
    multivariate: bool = option(True, "model the parameters jointly")
    constant_liar: bool = option(True, "avoid configurations close to those of running trials")


@dataclass
class HyperOptOptions:
    """HyperOpt's tree-structured Parzen estimator."""

    startup: int = option(5, "random trials before the model is used", low=1, high=50)
    gamma: float = option(0.25, "share of trials considered good", low=0.05, high=0.5)


@dataclass
class AshaOptions:
    """Asynchronous successive halving (Li et al., MLSys 2020)."""

    grace: float = option(10.0, "percent of the budget before a trial may be stopped", low=1.0, high=50.0)
    reduction: float = option(3.0, "one in this many trials continues at each rung", low=2.0, high=5.0)
    brackets: int = option(1, "number of brackets, each with a later first rung", low=1, high=4)


@dataclass
class HyperBandOptions:
    """Synchronous HyperBand (Li et al., JMLR 2018): the trials of a bracket wait for each other."""

    reduction: float = option(3.0, "one in this many trials continues at each rung", low=2.0, high=5.0)


@dataclass
class MedianOptions:
    """Stop trials that are worse than the median of the others' running means (Golovin et al., KDD 2017)."""

    grace: float = option(20.0, "percent of the budget before a trial may be stopped", low=1.0, high=50.0)
    required: int = option(3, "trials that must have progressed as far", low=2, high=20)


@dataclass
class PbtOptions:
    """Population based training (Jaderberg et al., 2017): the worst trials continue from the best, with perturbed settings."""

    every: float = option(20.0, "percent of the budget between exchanges", low=2.0, high=50.0)
    quantile: float = option(0.25, "share of the population that is copied, and share that is replaced", low=0.05, high=0.5)
    resample: float = option(0.25, "probability of resampling a setting instead of perturbing it", low=0.0, high=1.0)


@dataclass
class Pb2Options:
    """Population based bandits (Parker-Holder et al., NeurIPS 2020): PBT with settings chosen by a Gaussian process."""

    every: float = option(20.0, "percent of the budget between exchanges", low=2.0, high=50.0)
    quantile: float = option(0.25, "share of the population that is copied, and share that is replaced", low=0.05, high=0.5)


@dataclass
class TuneOptions:
    """The objective, searcher, scheduler and limits of a sweep."""

    name: str = option("", "name of the sweep (default: METHOD-DATASET and a hash of the request)")
    trials: int = option(12, "number of configurations to try, including the run's own", valid="[1, inf)")
    metric: str = option(
        "validation_loss", "a metric of the method's validation, or SUITE/METRIC, scored on the validation split"
    )
    mode: str = option(
        "", "min or max (default: min, or the direction given by the suite for SUITE/METRIC)", choices=("", "min", "max")
    )
    objectives: list[str] = option(["quality"], "quality, seconds, memory; several objectives give a Pareto front")
    searcher: str = option("optuna", f"algorithm that proposes configurations: {', '.join(SEARCHERS)}", choices=SEARCHERS)
    scheduler: str = option(
        "asha", f"algorithm that stops trials early or changes them: {', '.join(SCHEDULERS)}", choices=SCHEDULERS
    )
    evaluations: int = option(10, "validations per trial, unless set by trainer.evaluate_every", valid="[1, inf)")
    scenes: int = option(0, "SUITE/METRIC: score at most this many validation samples (0 = all)", valid="[0, inf)")
    default_first: bool = option(True, "use the run as configured, trained to the end, as the first trial")
    extend: bool = option(False, "add the given tune.space.KEY= to the method's own space instead of replacing it")
    seed: int = option(0, "seed of the search; the seed of the runs is `seed=`")
    concurrent: int = option(0, "concurrent trials (0 = as many as the resources allow)", valid="[0, inf)")
    max_seconds: float = option(
        0.0, "stop the sweep after this many seconds, including time before a resume (0 = no limit)", valid="[0, inf)"
    )
    max_gpu_hours: float = option(0.0, "stop the sweep after this many GPU hours (0 = no limit)", valid="[0, inf)")
    plateau: int = option(
        0, "stop the sweep after this many finished trials without an improvement (0 = no limit)", valid="[0, inf)"
    )
    tolerance: float = option(
        0.0, "plateau: relative improvement that a trial must exceed to count as better", low=0.0, high=0.1, valid="[0, inf)"
    )
    optuna: OptunaOptions = field(default_factory=OptunaOptions)
    hyperopt: HyperOptOptions = field(default_factory=HyperOptOptions)
    asha: AshaOptions = field(default_factory=AshaOptions)
    hyperband: HyperBandOptions = field(default_factory=HyperBandOptions)
    median: MedianOptions = field(default_factory=MedianOptions)
    pbt: PbtOptions = field(default_factory=PbtOptions)
    pb2: Pb2Options = field(default_factory=Pb2Options)


# Options that limit a sweep, which may be changed when it is resumed.
LIMITS = ("trials", "concurrent", "max_seconds", "max_gpu_hours", "plateau", "tolerance")


def check_library(searcher: str) -> None:
    """Raise UserError if the library of a searcher is not installed, without importing it."""
    package = LIBRARIES.get(searcher)
    if package and importlib.util.find_spec(package) is None:
        raise UserError(
            f"tune.searcher={searcher} needs the package '{package}'; pip install 'deep3dmap[{package}]', or omit tune.searcher"
        )

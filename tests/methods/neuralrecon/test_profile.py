"""The profile of a fragment, at a size suitable for tests."""

import itertools

import torch

from deep3dmap.config.compose import build_section
from deep3dmap.config.variants import variants
from deep3dmap.core.registry import methods
from deep3dmap.methods.neuralrecon.method import NeuralReconConfig
from deep3dmap.methods.neuralrecon.profile import key_frames_per_second, measure


def test_the_parts_lie_within_the_whole() -> None:
    config = build_section(NeuralReconConfig, variants(methods, "neuralrecon")["mini"]["method"])
    ticks = itertools.count()
    spent = measure(config, 2, lambda: float(next(ticks)), torch.device("cpu"))
    whole = spent.pop("all")
    assert {name.partition(",")[0] for name in spent} == {"image network", "sparse network", "fusion", "lifting image features"}
    # The clock ticks once per reading: each call of a part takes one tick, and lifting and fusion are called for three levels.
    assert {name: spent[name] for name in ("image network", "fusion", "sparse network, level 2")} == {
        "image network": 1,
        "fusion": 3,
        "sparse network, level 2": 1,
    }
    assert whole > sum(spent.values())


def test_key_frames_are_counted_over_all_rounds_but_the_first() -> None:
    config = build_section(NeuralReconConfig, variants(methods, "neuralrecon")["mini"]["method"])
    ticks = iter((10.0, 14.0))
    assert key_frames_per_second(config, 3, lambda: next(ticks), torch.device("cpu")) == 3 * config.views / 4

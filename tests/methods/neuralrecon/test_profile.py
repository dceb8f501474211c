"""The profile of a fragment, at the size of the tests."""

import itertools

from deep3dmap.config.compose import build_section
from deep3dmap.config.variants import variants
from deep3dmap.core.registry import methods
from deep3dmap.methods.neuralrecon.method import NeuralReconConfig
from deep3dmap.methods.neuralrecon.profile import measure


def test_the_parts_lie_within_the_whole() -> None:
    config = build_section(NeuralReconConfig, variants(methods, "neuralrecon")["mini"]["method"])
    ticks = itertools.count()
    spent = measure(config, 2, lambda: float(next(ticks)))
    whole = spent.pop("all")
    assert {name.partition(",")[0] for name in spent} == {"image network", "sparse network", "fusion", "lifting image features"}
    # A clock that ticks once whenever it is read: every call of a part takes one tick, and three levels are lifted and fused.
    assert {name: spent[name] for name in ("image network", "fusion", "sparse network, level 2")} == {
        "image network": 1,
        "fusion": 3,
        "sparse network, level 2": 1,
    }
    assert whole > sum(spent.values())

"""Unsuitable files in place of network weights: a one-line error names the file, and no network is loaded."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from deep3dmap.core import UserError
from deep3dmap.methods.gan2shape.judges import load_parser
from deep3dmap.methods.gan2shape.networks import ShapeNetworks
from deep3dmap.methods.gan2shape.official_weights import load_networks
from deep3dmap.methods.giraffe.official_weights import load_official as load_giraffe
from deep3dmap.methods.gnerf.official_weights import load_official as load_gnerf
from deep3dmap.methods.neuralrecon.official_weights import load_official as load_neuralrecon
from deep3dmap.methods.prnet.official_weights import load_official as load_prnet
from deep3dmap.nn import ResFCN256
from deep3dmap.nn.lpips import read_lpips
from deep3dmap.nn.official_checkpoints import get_counter, read_checkpoint
from deep3dmap.nn.stylegan2 import load_discriminator, load_generator

TENSOR = torch.zeros(2)
# The key under which each loader expects its network ("" for the file itself), and the loader.
LOADERS: Mapping[str, tuple[str, Callable[[Path], object]]] = {
    "prnet": ("", lambda file: load_prnet(ResFCN256(8), file)),
    "prnet, trained": ("state_dict", lambda file: load_prnet(ResFCN256(8), file)),
    "gnerf": ("g", lambda file: load_gnerf(read_checkpoint(file), {"generator": nn.Linear(2, 2)}, file)),
    "giraffe": ("model", lambda file: load_giraffe(file, nn.Linear(2, 2))),
    "neuralrecon": ("state_dict", lambda file: load_neuralrecon(nn.Linear(2, 2), file)),
    "stylegan2 generator": ("g_ema", load_generator),
    "stylegan2 discriminator": ("", load_discriminator),
    "lpips": ("", read_lpips),
    "faces": ("", lambda file: load_parser(str(file), "face")),
    "cats": ("state_dict", lambda file: load_parser(str(file), "cat")),
    "gan2shape": ("netD", lambda file: load_networks(ShapeNetworks(32, 16, width=4, code=8, offset_width=4), file)),
}
CONTENTS: Mapping[str, Any] = {
    "a tensor": TENSOR,
    "a list": [TENSOR],
    "nothing": {},
    "numbered tensors": {0: TENSOR},
    "a number": {"synthesis.constant": 3, "from_rgb.bias": 3, "layer1.weight": 3, "features.0.weight": 3},
    "a tensor of no name": {"": TENSOR},
    "names of no network": {"weight": TENSOR, "lins": TENSOR, "Conv.weight": TENSOR, "layer1.x": TENSOR, "convs.x": TENSOR},
    "an optimiser": {"state": {0: {"exp_avg": TENSOR}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
}


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("content", CONTENTS)
def test_a_file_of_something_else_is_named(loader: str, content: str, tmp_path: Path) -> None:
    file, (place, load), held = tmp_path / "weights.pt", LOADERS[loader], CONTENTS[content]
    torch.save({place: held} if place else held, file)
    with pytest.raises(UserError, match=r"weights\.pt"):
        load(file)


@pytest.mark.parametrize("count", [None, "last", TENSOR])
def test_a_counter_that_counts_nothing_is_none(count: object) -> None:
    assert (get_counter({"it": count}, "it"), get_counter({"it": 7}, "it"), get_counter({}, "it")) == (-1, 7, -1)

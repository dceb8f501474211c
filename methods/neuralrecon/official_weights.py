"""Reading the checkpoints of the official code, such as `model_000047.ckpt`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from deep3dmap.core import UserError
from deep3dmap.nn.weight_files import read_weights

PREFIX = "module."
GRU = "neucon_net.gru_fusion."
NAMED = 4


@dataclass(frozen=True)
class OfficialWeights:
    """A state dict under the network's names, and the epoch it was saved at, -1 if the file does not say.

    has_gru: false for a checkpoint of the first phase, which trains single fragments.
    """

    state: dict[str, Tensor]
    epoch: int

    @property
    def has_gru(self) -> bool:
        """Whether the recurrent cells were trained."""
        return any(name.startswith(GRU) for name in self.state)


def read_official(file: Path) -> OfficialWeights:
    """Read a checkpoint without running any code it may hold; raises UserError if it is none of the official form."""
    if not file.is_file():
        raise UserError(f"{file}: no such checkpoint; download model_000047.ckpt, which the official README links to")
    checkpoint = read_weights(file)
    model = checkpoint.get("model") if isinstance(checkpoint, dict) else None
    if not isinstance(model, dict) or not all(isinstance(value, Tensor) for value in model.values()):
        raise UserError(f"{file}: no state dict under 'model', so this is not an official NeuralRecon checkpoint")
    epoch = checkpoint.get("epoch", -1)
    return OfficialWeights({name.removeprefix(PREFIX): value for name, value in model.items()}, int(epoch))


def load_official(network: nn.Module, file: Path) -> Literal["loaded", "absent", "unused"]:
    """Fill the network from an official checkpoint and return what became of the recurrent cells.

    "absent": the network has them and the checkpoint, of the first phase, does not, so they keep their values. "unused": the
    other way round. Raises UserError naming keys that are missing, unexpected or of another shape; then nothing is changed.
    """
    weights = read_official(file)
    ours = network.state_dict()
    fuses = any(name.startswith(GRU) for name in ours)
    state = weights.state if fuses else {name: value for name, value in weights.state.items() if not name.startswith(GRU)}
    expected = ours if weights.has_gru else {name: value for name, value in ours.items() if not name.startswith(GRU)}
    _check(file, state, expected)
    network.load_state_dict(state, strict=False)
    return "loaded" if weights.has_gru and fuses else "unused" if weights.has_gru else "absent"


def _check(file: Path, state: dict[str, Tensor], expected: dict[str, Any]) -> None:
    shapes = {
        f"{name} {tuple(state[name].shape)}, not {tuple(value.shape)}"
        for name, value in expected.items()
        if name in state and state[name].shape != value.shape
    }
    faults = {
        "missing": expected.keys() - state.keys(),
        "unexpected": state.keys() - expected.keys(),
        "of another size": shapes,
    }
    found = [f"{kind}: {_listed(names)}" for kind, names in faults.items() if names]
    if found:
        raise UserError(
            f"{file}: does not fit this network; keys {'; '.join(found)}; use the variant `paper`, of official sizes"
        )


def _listed(names: set[str]) -> str:
    rest = len(names) - NAMED
    return ", ".join(sorted(names)[:NAMED]) + (f" and {rest} more" if rest > 0 else "")

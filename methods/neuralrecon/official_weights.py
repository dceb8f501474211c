"""Reading the checkpoints of the official code, such as `model_000047.ckpt`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from deep3dmap.nn.official_checkpoints import check_fits, count_under, read_checkpoint, state_under

PREFIX = "module."
GRU = "neucon_net.gru_fusion."


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
    checkpoint = read_checkpoint(file, "download model_000047.ckpt, which the official README links to")
    # The official code says "model"; what this package exports is under the name that torch's users know.
    model = state_under(checkpoint, "state_dict" if "state_dict" in checkpoint else "model", file)
    return OfficialWeights(
        {name.removeprefix(PREFIX): value for name, value in model.items()}, count_under(checkpoint, "epoch")
    )


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
    check_fits(state, expected, str(file), "use the variant `paper`, of official sizes")
    network.load_state_dict(state, strict=False)
    return "loaded" if weights.has_gru and fuses else "unused" if weights.has_gru else "absent"

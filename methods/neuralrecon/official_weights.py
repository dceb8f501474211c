"""Reading checkpoints of the official code, such as `model_000047.ckpt`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from deep3dmap.nn.official_checkpoints import check_state_dict, get_counter, get_state_dict, read_checkpoint

PREFIX = "module."
GRU = "neucon_net.gru_fusion."


@dataclass(frozen=True)
class OfficialWeights:
    """A state dict with the network's parameter names, and the epoch at which it was saved (-1 if unknown).

    has_gru: False for a checkpoint of the first phase, which trains on single fragments.
    """

    state: dict[str, Tensor]
    epoch: int

    @property
    def has_gru(self) -> bool:
        """Whether the checkpoint contains the recurrent cells."""
        return any(name.startswith(GRU) for name in self.state)


def read_official(file: Path) -> OfficialWeights:
    """Read a checkpoint without executing code it may contain; raises UserError if it is not in the official format."""
    checkpoint = read_checkpoint(file, "download model_000047.ckpt, which is linked from the official README")
    # The official code uses the key "model"; this package exports under "state_dict", the usual name in PyTorch.
    model = get_state_dict(checkpoint, "state_dict" if "state_dict" in checkpoint else "model", file)
    return OfficialWeights(
        {name.removeprefix(PREFIX): value for name, value in model.items()}, get_counter(checkpoint, "epoch")
    )


def load_official(network: nn.Module, file: Path) -> Literal["loaded", "absent", "unused"]:
    """Load an official checkpoint into the network and return the status of the recurrent cells.

    "absent": the checkpoint, from the first phase, does not contain them, so the network's cells keep their values. "unused":
    the checkpoint contains them but the network has none. Raises UserError naming the keys that are missing, unexpected or of
    a different shape, and leaves the network unchanged.
    """
    weights = read_official(file)
    ours = network.state_dict()
    fuses = any(name.startswith(GRU) for name in ours)
    state = weights.state if fuses else {name: value for name, value in weights.state.items() if not name.startswith(GRU)}
    expected = ours if weights.has_gru else {name: value for name, value in ours.items() if not name.startswith(GRU)}
    check_state_dict(state, expected, str(file), "use the variant `paper`, which has the official sizes")
    network.load_state_dict(state, strict=False)
    return "loaded" if weights.has_gru and fuses else "unused" if weights.has_gru else "absent"

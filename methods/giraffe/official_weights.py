"""Reading checkpoints of the official code, such as `checkpoint_compcars64-74fd3c5a.pt`."""

from pathlib import Path

from torch import nn

from deep3dmap.nn.official_checkpoints import fill, get_counter, get_state_dict, read_checkpoint, strip_prefix

AVERAGE, RAW = "generator_test.", "generator."


def load_official(file: Path, generator: nn.Module, discriminator: nn.Module | None = None, *, average: bool = True) -> int:
    """Load an official checkpoint into the networks and return the iteration at which it was saved, -1 if unknown.

    average: load the moving average of the generator, which is used for generation, instead of the generator in training.
    Ranges of cameras and boxes are not in the file; they are set in the configuration. Raises UserError naming the keys that
    are missing, unexpected or of a different shape.
    """
    checkpoint = read_checkpoint(file)
    state = get_state_dict(checkpoint, "model", file)
    prefix = AVERAGE if average else RAW
    fill(generator, strip_prefix(state, prefix), f"{file}: {prefix.rstrip('.')}")
    if discriminator is not None:
        fill(discriminator, strip_prefix(state, "discriminator."), f"{file}: discriminator")
    return get_counter(checkpoint, "it")

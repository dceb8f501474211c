"""Random numbers for samples that are addressed by index."""

import numpy as np
import torch


def sample_generator(seed: int, index: int) -> torch.Generator:
    """Return a CPU generator for sample `index` under `seed`.

    Seed and index are mixed (O'Neill's seed sequence), because torch's generator uses only 32 bits of its seed.
    """
    mixed = np.random.SeedSequence([seed, index]).generate_state(1, np.uint32)
    return torch.Generator().manual_seed(int(mixed[0]))

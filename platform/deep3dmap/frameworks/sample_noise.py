"""Random numbers of samples that are asked for by number."""

import numpy as np
import torch


def sample_generator(seed: int, index: int) -> torch.Generator:
    """Return a generator, on the CPU, for sample `index` of a seed.

    Seeds and indices are mixed (O'Neill's seed sequence), because torch's generator looks at 32 bits of its seed only.
    """
    mixed = np.random.SeedSequence([seed, index]).generate_state(1, np.uint32)
    return torch.Generator().manual_seed(int(mixed[0]))

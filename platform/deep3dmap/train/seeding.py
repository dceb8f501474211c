"""Seeding of random numbers by the current position in a run only, independent of anything that happened before."""

import random
import zlib

import numpy as np
import torch


def seed_everything(*entropy: int) -> None:
    """Seed torch, numpy and random from several integers, such as (seed, rank, step)."""
    low, high = np.random.SeedSequence(entropy).generate_state(2)
    seed = int(low) << 32 | int(high)
    # torch.manual_seed also records a call, with its stack, for each unused device type, which takes half a millisecond.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(seed)
    np.random.seed(int(high))
    random.seed(int(low))


def scene_entropy(scene: str) -> tuple[int, ...]:
    """Return the seed entropy of a scene's name; empty in training, which has no scene."""
    return (zlib.crc32(scene.encode()),) if scene else ()

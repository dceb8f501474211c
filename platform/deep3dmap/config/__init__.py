"""Typed Hydra configuration: the schema of a run, composition with variants and tiers, and where each value came from."""

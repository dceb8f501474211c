"""Typed Hydra configuration: the schema of a run, composition with variants and tiers, and the source of each value."""

"""Tuning: search spaces, searchers, schedulers, sweeps on Ray Tune, and what they found."""

"""Hyperparameter tuning: search spaces, searchers, schedulers, sweeps on Ray Tune, and their results."""

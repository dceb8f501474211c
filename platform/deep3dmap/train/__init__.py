"""Training on Ray: hosts, the session that drives a method, checkpoints, curves."""

"""Training, with or without Ray: hosts, the session that drives a method, checkpoints and curves."""

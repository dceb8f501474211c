"""Metrics as pure functions on tensors."""

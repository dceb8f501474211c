"""Code and recipes for running on clusters."""

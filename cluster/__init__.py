"""Files for running on clusters."""

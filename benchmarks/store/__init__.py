"""What the store of results withstands, and how fast it is read."""

"""Fault tolerance and speed of the result store."""

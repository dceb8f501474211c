"""Starts Ray for a verb, or joins the cluster of RAY_ADDRESS, and says where its dashboard is."""

import os

from rich.console import Console

from deep3dmap.train import ray_runtime


def start_ray(console: Console) -> None:
    """Connect, which takes some seconds, and print the dashboard's address where Ray has one."""
    address = os.environ.get("RAY_ADDRESS", "")
    console.print(f"joining the Ray of {address}" if address else "starting Ray", highlight=False)
    ray_runtime.connect()
    if link := ray_runtime.dashboard_link():
        console.print(f"Ray dashboard: {link}", highlight=False)

"""Starts Ray for a verb, or joins the cluster given by RAY_ADDRESS; failures are reported in one line."""

from rich.console import Console

from deep3dmap.core.errors import UserError
from deep3dmap.train import ray_runtime
from deep3dmap.train.start_watch import StartError


def start_ray(console: Console) -> None:
    """Connect to Ray, which takes a few seconds. Raises UserError if Ray does not start."""
    try:
        ray_runtime.connect()
    except StartError as error:
        raise UserError(str(error)) from error

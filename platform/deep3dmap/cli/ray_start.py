"""Starts Ray for a verb, or joins the cluster of RAY_ADDRESS; the mistakes of that are one line."""

from rich.console import Console

from deep3dmap.core.errors import UserError
from deep3dmap.train import ray_runtime
from deep3dmap.train.start_watch import StartError


def start_ray(console: Console) -> None:
    """Connect, which takes some seconds. Raises UserError if Ray does not come up."""
    try:
        ray_runtime.connect()
    except StartError as error:
        raise UserError(str(error)) from error

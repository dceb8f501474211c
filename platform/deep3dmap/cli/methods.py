"""`deep3dmap methods`: list the registered methods, built-in and third-party."""

from deep3dmap.cli.registered import show_registered
from deep3dmap.core.registry import methods

COLUMNS = ("title", "tasks", "consumes", "produces")


def main(argv: list[str]) -> int:
    """Run the verb."""
    return show_registered(methods, argv, COLUMNS)

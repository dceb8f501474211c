"""`deep3dmap datasets`: list the registered datasets, built-in and third-party."""

from deep3dmap.cli.registered import show_registered
from deep3dmap.core.registry import datasets

COLUMNS = ("title", "splits", "provides", "licence")


def main(argv: list[str]) -> int:
    """Run the verb."""
    return show_registered(datasets, argv, COLUMNS)

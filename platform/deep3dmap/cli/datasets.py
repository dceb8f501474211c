"""`deep3dmap datasets`: what is registered, ours and third parties'."""

from deep3dmap.cli.registered import show_registered
from deep3dmap.core.registry import datasets

COLUMNS = ("title", "splits", "provides", "licence")


def main(argv: list[str]) -> int:
    """Run the verb."""
    return show_registered(datasets, argv, COLUMNS)

"""`deep3dmap suites`: list the registered suites, built-in and third-party."""

from deep3dmap.cli.registered import show_registered
from deep3dmap.core.registry import suites

COLUMNS = ("title", "headline", "datasets")


def main(argv: list[str]) -> int:
    """Run the verb."""
    return show_registered(suites, argv, COLUMNS)

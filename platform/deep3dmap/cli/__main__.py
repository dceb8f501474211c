"""`python -m deep3dmap.cli`, the same as the console script."""

from deep3dmap.cli import command

if __name__ == "__main__":
    command()

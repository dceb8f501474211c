"""`python -m deep3dmap.cli`: equivalent to the console script."""

import os
import sys

from deep3dmap.cli import command

if __name__ == "__main__":
    # `python -m` puts the current folder first on sys.path, where any file would shadow an installed module of that name.
    if sys.path and os.path.realpath(sys.path[0]) == os.path.realpath(os.getcwd()) and not sys.flags.safe_path:
        del sys.path[0]
    command()

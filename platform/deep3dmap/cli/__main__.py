"""`python -m deep3dmap.cli`, the same as the console script."""

import sys

from deep3dmap.cli import main

sys.exit(main())

"""`python -m deep3dmap.dashboard.site STORE FOLDER`, run by `deep3dmap dashboard --export FOLDER`."""

import sys
from pathlib import Path

from deep3dmap.core.errors import UserError
from deep3dmap.dashboard.site.export import export
from deep3dmap.results.store import ResultStore


def main(argv: list[str]) -> int:
    """Write the site; returns 0, or 2 after printing one line for an error that the user can fix."""
    uri, folder = argv
    try:
        written = export(ResultStore(uri), Path(folder))
    except (UserError, OSError) as error:
        print(f"deep3dmap: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(written)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What a submitted job runs first: `python -m deep3dmap.cluster.submitted_job CODE_HASH STORAGE -- VERB ...`.

It refuses to run other code than was sent, and storage that some node does not share, before anything is computed.
"""

import os
import sys
from pathlib import Path

import deep3dmap
from deep3dmap.cluster.shared_storage import nodes_without
from deep3dmap.cluster.upload import code_hash

REFUSED = 2


def main(arguments: list[str]) -> int:
    """Check, then become the verb's process."""
    if len(arguments) < 4 or arguments[2] != "--":
        print("usage: python -m deep3dmap.cluster.submitted_job CODE_HASH STORAGE -- VERB ...", file=sys.stderr)
        return REFUSED
    sent, storage = arguments[:2]
    package = Path(str(deep3dmap.__file__)).parent
    found = code_hash(package)
    print(f"deep3dmap {deep3dmap.__version__} from {package}, code {found}", flush=True)
    if found != sent:
        print(
            f"deep3dmap: this job was sent code {sent} but imports {found} from {package}; an editable install on the head "
            "comes before what is shipped: install deep3dmap plainly there, or not at all",
            file=sys.stderr,
        )
        return REFUSED
    if storage != "-":
        missing = nodes_without(Path(storage))
        if missing:
            print(f"deep3dmap: {storage} is not shared by {', '.join(missing)}; mount it on every node", file=sys.stderr)
            return REFUSED
        print(f"every node reads and writes {storage}", flush=True)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "deep3dmap.cli", *arguments[3:]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

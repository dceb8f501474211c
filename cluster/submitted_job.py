"""Entry point of a submitted job: `python -m deep3dmap.cluster.submitted_job CODE_HASH STORAGE -- VERB ...`.

Before anything is computed, it checks that the imported code is the submitted code and that all nodes share the storage.
"""

import os
import sys
from pathlib import Path

import deep3dmap
from deep3dmap.cluster.shared_storage import find_nodes_without
from deep3dmap.cluster.upload import code_hash

REFUSED = 2


def main(arguments: list[str]) -> int:
    """Run the checks, then replace this process with the command."""
    if len(arguments) < 4 or arguments[2] != "--":
        print("usage: python -m deep3dmap.cluster.submitted_job CODE_HASH STORAGE -- VERB ...", file=sys.stderr)
        return REFUSED
    sent, storage = arguments[:2]
    package = Path(str(deep3dmap.__file__)).parent
    found = code_hash(package)
    print(f"deep3dmap {deep3dmap.__version__} from {package}, code {found}", flush=True)
    if found != sent:
        print(
            f"deep3dmap: this job was submitted with code {sent} but imports {found} from {package}; an editable install on "
            "the head takes precedence over the shipped code: use a regular install of deep3dmap there, or none",
            file=sys.stderr,
        )
        return REFUSED
    if storage != "-":
        missing = find_nodes_without(Path(storage))
        if missing:
            print(f"deep3dmap: {storage} is not shared by {', '.join(missing)}; mount it on every node", file=sys.stderr)
            return REFUSED
        print(f"every node reads and writes {storage}", flush=True)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "deep3dmap.cli", *arguments[3:]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`deep3dmap results`: list, show, export and verify stored runs."""

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.cli.leaderboard import existing_store, plain_warnings

DESCRIPTION = """\
List, show, export and verify stored runs.

actions:
  ls             the runs, newest first; of each the newest attempt that ended well
  show RUN_ID    one run: facts, metrics per scene, pictures, error (a prefix of the id suffices)
  export FILE    runs joined with their metrics, as .csv, .json or .parquet
  verify         read every file and name the damaged ones (exit code 1)

keys:
  results=       the store, a folder or a URI (default: results/)"""
EXAMPLES = """\
  deep3dmap results ls --suite face
  deep3dmap results show 49807cc5
  deep3dmap results export runs.csv results=/data/results
  deep3dmap results verify"""


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = VerbParser("results", DESCRIPTION, EXAMPLES)
    parser.add_argument("action", choices=("ls", "show", "export", "verify"), help="what to do")
    parser.add_argument("argument", nargs="?", default="", metavar="RUN_ID|FILE", help="for show and export")
    parser.add_argument("--suite", help="ls, export: only this suite")
    parser.add_argument("--json", action="store_true", help="ls, show, verify: print plain data")
    flags, pairs = parser.parse(argv)
    store = existing_store(pairs)
    with plain_warnings():
        from deep3dmap.cli.stored_runs import act

        return act(store, flags)

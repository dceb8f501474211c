"""`deep3dmap results`: list, show, export, verify, merge and compact stored runs."""

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.cli.leaderboard import existing_store

DESCRIPTION = """\
List, show, export, verify, merge and compact stored runs.

actions:
  ls             the runs, newest first; of each the newest attempt that ended well
  show RUN_ID    one run: facts, metrics per scene, pictures, error (a prefix of the id suffices)
  export FILE    runs joined with their metrics, as .csv, .json or .parquet; the leaderboard, as .tex or .html
  verify         recompute every hash, of artifacts too, score the kept predictions once more, and name what is damaged, edited,
                 missing, doubled, scored otherwise or stale, that is, of code or data that have changed since (exit code 1)
  merge OTHER    add what another store has and this one has not; what differs in both is named (exit code 1)
  compact        join the files of single attempts into a few, which are read much faster

keys:
  results=       the store, a folder or a URI (default: results/)"""
EXAMPLES = """\
  deep3dmap results ls --suite face
  deep3dmap results show 49807cc5
  deep3dmap results export board.html results=/data/results
  deep3dmap results verify --set-aside
  deep3dmap results merge s3://lab/results"""
ACTIONS = ("ls", "show", "export", "verify", "merge", "compact")


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = VerbParser("results", DESCRIPTION, EXAMPLES)
    parser.add_argument("action", choices=ACTIONS, help="what to do")
    parser.add_argument("argument", nargs="?", default="", metavar="RUN_ID|FILE|OTHER", help="for show, export and merge")
    parser.add_argument("--suite", help="ls, export: only this suite")
    parser.add_argument("--set-aside", action="store_true", help="verify: move damaged files to the folder damaged/")
    parser.add_argument("--quick", action="store_true", help="verify: recompute the hashes, and nothing else")
    parser.add_argument("--json", action="store_true", help="ls, show, verify, merge: print plain data")
    flags, pairs = parser.parse(argv)
    store = existing_store(pairs)
    from deep3dmap.cli.stored_runs import act

    return act(store, flags)

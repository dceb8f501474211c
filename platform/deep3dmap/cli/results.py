"""`deep3dmap results`: list, show, export, verify, merge and compact stored runs."""

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.cli.leaderboard import existing_store

DESCRIPTION = """\
List, show, export, verify, merge and compact stored runs.

actions:
  ls             list the runs, newest first, each with its newest successful attempt
  show RUN_ID    show one run: facts, metrics per scene, pictures, error (a prefix of the id is enough)
  export FILE    write the runs with their metrics as .csv, .json or .parquet, or the leaderboard as .tex or .html
  verify         recompute all hashes, artifacts included, rescore the stored predictions, and report anything damaged,
                 edited, missing, duplicated, scored differently, or stale because code or data have changed (exit code 1)
  merge OTHER    add the attempts of another store that are missing here; report those that conflict (exit code 1)
  compact        merge the files of single attempts into a few files, which are much faster to read

keys:
  results=       the result store, a folder or a URI (default: results/)"""
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
    parser.add_argument("action", choices=ACTIONS, help="the action to run")
    parser.add_argument("argument", nargs="?", default="", metavar="RUN_ID|FILE|OTHER", help="for show, export and merge")
    parser.add_argument("--suite", help="ls, export: only this suite")
    parser.add_argument("--set-aside", action="store_true", help="verify: move damaged files to the folder damaged/")
    parser.add_argument("--quick", action="store_true", help="verify: only recompute the hashes")
    parser.add_argument("--json", action="store_true", help="ls, show, verify, merge: print JSON")
    flags, pairs = parser.parse(argv)
    store = existing_store(pairs)
    from deep3dmap.cli.stored_runs import act

    return act(store, flags)

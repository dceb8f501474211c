"""`deep3dmap keys [NAME]`: list the sample keys shared by datasets, suites and methods, with shape and unit."""

import json
from dataclasses import asdict

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.cli.printable import shown
from deep3dmap.cli.tables import print_table, table
from deep3dmap.config.plugins import load_all_keys
from deep3dmap.core.keys import describe_key

DESCRIPTION = """\
List the keys that a sample may contain: those that datasets provide, suites pass on and methods consume. Packages add their
own with deep3dmap.core.register_key."""
EXAMPLES = "  deep3dmap keys\n  deep3dmap keys position_map\n  deep3dmap keys --json"


def main(argv: list[str]) -> int:
    """Run the verb."""
    parser = VerbParser("keys", DESCRIPTION, EXAMPLES)
    parser.add_argument("name", nargs="?", help="show only this key")
    parser.add_argument("--json", action="store_true", help="print the keys as JSON")
    flags, _ = parser.parse(argv)
    every = load_all_keys()
    keys = [describe_key(flags.name)] if flags.name else list(every.values())
    if flags.json:
        print(json.dumps([asdict(key) for key in keys], indent=1))
        return 0
    rows = table("key", "shape", "unit", "meaning")
    for key in keys:
        rows.add_row(*map(shown, (key.name, key.shape, key.unit, key.meaning)))
    print_table(rows)
    return 0

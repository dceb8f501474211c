"""`deep3dmap check METHOD`: run the method contract and print a report card."""

import json
import tempfile
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from deep3dmap.cli.arguments import VerbParser, is_terminal
from deep3dmap.cli.printable import shown
from deep3dmap.config.overrides import as_override, split_override
from deep3dmap.core.errors import UserError
from deep3dmap.testing import CHECKS, Subject, ViolationError

EXAMPLES = """\
  deep3dmap check tsdf_fusion
  deep3dmap check prnet --only 'exact resume'
  deep3dmap check my_module:MyMethod dataset=heads/smoke"""


@dataclass(frozen=True)
class Mark:
    """One line of the report card."""

    check: str
    passed: bool
    detail: str


def main(argv: list[str]) -> int:
    """Run the verb; exit code 0 if every check passed, 1 if any failed."""
    parser = VerbParser("check", "Run the method contract on a method and print a report card.", EXAMPLES)
    parser.add_argument("method", help="NAME, NAME/VARIANT or module:Class (default variant: mini)")
    parser.add_argument(
        "--only", action="append", choices=list(CHECKS), metavar="CHECK", help=f"one of: {', '.join(CHECKS)}; may be repeated"
    )
    parser.add_argument("--json", action="store_true", help="print the report card as JSON")
    flags, pairs = parser.parse(argv)
    values = dict(split_override(text) for text in pairs)
    dataset = str(values.pop("dataset", ""))
    overrides = tuple(as_override(key, value) for key, value in values.items())
    console = Console(stderr=flags.json)
    marks = []
    with tempfile.TemporaryDirectory(prefix="deep3dmap-check-") as folder:
        subject = Subject(flags.method, Path(folder), dataset, overrides)
        console.print(shown(f"{flags.method} on {subject.dataset_choice}"), highlight=False, soft_wrap=True)
        subject.dataset  # noqa: B018  prepare the data before timing anything
        for name in flags.only or CHECKS:
            if is_terminal():
                console.print(f"[dim]… {name}[/dim]", end="\r", highlight=False)
            mark = _mark(name, subject)
            marks.append(mark)
            colour, word = ("green", "pass") if mark.passed else ("red", "FAIL")
            console.print(f"[{colour}]{word}[/{colour}]  {name:<15} {shown(mark.detail)}", highlight=False, soft_wrap=True)
    if flags.json:
        print(json.dumps([asdict(mark) for mark in marks], indent=1))
    return 0 if all(mark.passed for mark in marks) else 1


def _mark(name: str, subject: Subject) -> Mark:
    try:
        return Mark(name, True, CHECKS[name](subject))
    except (ViolationError, UserError) as error:
        return Mark(name, False, str(error))
    except Exception as error:  # any exception of the method under test becomes a line of its report card
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Mark(name, False, f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})")

"""The command-line interface: one module per verb, imported on demand, so that `--help` loads neither torch nor ray."""

import importlib
import os
import re
import sys
import traceback

_VERBS = {
    "methods": "list the methods, or show one",
    "datasets": "list the datasets, or show one",
    "suites": "list the benchmark suites, or show one",
    "keys": "list the keys that datasets provide and methods consume, with shapes and units",
    "data": "generate, prepare or check a dataset",
    "train": "train a method on a dataset",
    "reconstruct": "reconstruct meshes from photographs or a scan",
    "generate": "draw samples from a trained generator",
    "render": "render a mesh with every available renderer, side by side",
    "export": "export a checkpoint's weights as the weights shipped with a method",
    "evaluate": "evaluate a checkpoint on a suite",
    "tune": "search for the best configuration of a method, with Ray Tune",
    "benchmark": "compare methods on a suite, with Ray Tune",
    "leaderboard": "rank the methods in a result store",
    "reproduce": "rerun stored runs and check whether the results match",
    "results": "list, show, export and verify stored runs",
    "dashboard": "browse a result store in a web browser",
    "submit": "run a verb as a job on a Ray cluster",
    "check": "run the method contract on a method and print a report card",
    "doctor": "check what works on this machine, and suggest fixes for the rest",
}

_MODULE_CLASS = re.compile(r"(?:^|[=\[,'\"\s])[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def command() -> None:
    """Entry point of the console script: run a verb, then terminate every process it started."""
    from deep3dmap.cli.ending import exit_process, watch_signals
    from deep3dmap.train.interruption import Terminated

    watch_signals()
    try:
        code = main()
    except Terminated as error:
        print(f"deep3dmap: {error}", file=sys.stderr)
        code = error.exit_code
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    exit_process(code)


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return its exit code: 0 on success, 2 on a user error, 130 on an interrupt."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0
    if arguments[0] == "--version":
        from deep3dmap import __version__

        print(__version__)
        return 0
    from deep3dmap.cli.plain_warnings import plain_warnings
    from deep3dmap.core.errors import UserError, unknown

    try:
        if arguments[0] not in _VERBS:
            raise unknown("verb", arguments[0], _VERBS)
        find_named_modules(arguments)
        verb = importlib.import_module(f"deep3dmap.cli.{arguments[0]}")
        with plain_warnings():
            return int(verb.main(arguments[1:]))
    except UserError as error:
        from deep3dmap.cli.printable import printable
        from deep3dmap.core.secrets import hide_in_text

        print(f"deep3dmap: {printable(hide_in_text(str(error)))}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as interrupt:
        print(f"\ndeep3dmap: {str(interrupt) or 'interrupted'}", file=sys.stderr)
        return 130


def find_named_modules(arguments: list[str]) -> None:
    """Make a `module:Class` named on the command line importable from the current folder, here and in Ray's workers.

    The folder is appended to `sys.path` only when such a name is given, so its files never shadow installed modules.
    """
    if any(_MODULE_CLASS.search(argument) for argument in arguments) and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def _usage() -> str:
    lines = "\n".join(f"  {verb:<12} {text}" for verb, text in _VERBS.items())
    return f"""usage: deep3dmap VERB [key=value ...] [--flag ...]

Train, tune and compare 3D-reconstruction methods.

verbs:
{lines}

`key=value` arguments configure the run; `--flag` options control the command. See `deep3dmap VERB --help` for details.

  deep3dmap benchmark suite=face tier=smoke
  deep3dmap leaderboard"""

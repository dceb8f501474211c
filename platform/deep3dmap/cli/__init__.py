"""The command line: one file per verb, imported when it is called, so that `--help` loads neither torch nor ray."""

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
    "train": "train one method on one dataset, on Ray Train",
    "reconstruct": "turn photographs or a scan into meshes and pictures",
    "generate": "draw samples of a trained generator",
    "render": "draw one mesh by every renderer, side by side",
    "export": "write a checkpoint's weights as the files that a method brings with it",
    "evaluate": "score a checkpoint on a suite",
    "tune": "search for the best configuration of a method, on Ray Tune",
    "benchmark": "compare methods on a suite, on Ray Tune",
    "leaderboard": "rank the methods in a result store",
    "reproduce": "run stored runs again and say whether they come out the same",
    "results": "list, show, export and verify stored runs",
    "dashboard": "browse a result store in the web browser",
    "submit": "run a verb as a job of a Ray cluster",
    "check": "run the method contract on a method and print its report card",
    "doctor": "say what works on this machine, and what to install for the rest",
}

_MODULE_CLASS = re.compile(r"(?:^|[=\[,'\"\s])[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def command() -> None:
    """The console script: run a verb, and end with all that it has started."""
    from deep3dmap.cli.ending import leave, watch_signals
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
    leave(code)


def main(argv: list[str] | None = None) -> int:
    """Run one verb; returns 0 on success, 2 for a mistake of the user, 130 for an interrupt."""
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
    """Let a `module:Class` that the command line names be found in the current folder, here and in Ray's workers.

    The folder comes last, and only then: a file that lies there is never taken for a module of an installed package.
    """
    if any(_MODULE_CLASS.search(argument) for argument in arguments) and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def _usage() -> str:
    lines = "\n".join(f"  {verb:<12} {text}" for verb, text in _VERBS.items())
    return f"""usage: deep3dmap VERB [key=value ...] [--flag ...]

Train, tune and compare 3D-reconstruction methods.

verbs:
{lines}

`key=value` says what is run, `--flag` how the command behaves; `deep3dmap VERB --help` teaches each verb.

  deep3dmap benchmark suite=face tier=smoke
  deep3dmap leaderboard"""

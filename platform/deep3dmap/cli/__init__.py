"""The command line: one file per verb, imported when it is called, so that `--help` loads neither torch nor ray."""

import importlib
import os
import sys

_VERBS = {
    "methods": "list the methods, or show one",
    "datasets": "list the datasets, or show one",
    "suites": "list the benchmark suites, or show one",
    "data": "generate, prepare or check a dataset",
    "train": "train one method on one dataset, on Ray Train",
    "reconstruct": "turn photographs or a scan into meshes and pictures",
    "generate": "draw samples of a trained generator",
    "render": "draw one mesh by every renderer, side by side",
    "evaluate": "score a checkpoint on a suite",
    "tune": "search for the best configuration of a method, on Ray Tune",
    "benchmark": "compare methods on a suite, on Ray Tune",
    "leaderboard": "rank the methods in a result store",
    "results": "list, show, export and verify stored runs",
    "dashboard": "browse a result store in the web browser",
    "submit": "run a verb as a job of a Ray cluster",
    "check": "run the method contract on a method and print its report card",
    "doctor": "say what works on this machine, and what to install for the rest",
}


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
    from deep3dmap.core.errors import UserError, unknown

    try:
        if arguments[0] not in _VERBS:
            raise unknown("verb", arguments[0], _VERBS)
        # `module:Class` names a method in the current folder, here and in Ray's workers, which copy this path.
        sys.path.insert(0, os.getcwd())
        verb = importlib.import_module(f"deep3dmap.cli.{arguments[0]}")
        return int(verb.main(arguments[1:]))
    except UserError as error:
        print(f"deep3dmap: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\ndeep3dmap: interrupted", file=sys.stderr)
        return 130


def _usage() -> str:
    lines = "\n".join(f"  {verb:<12} {text}" for verb, text in _VERBS.items())
    return f"""usage: deep3dmap VERB [key=value ...] [--flag ...]

Train, tune and compare 3D-reconstruction methods.

verbs:
{lines}

`key=value` says what is run, `--flag` how the command behaves; `deep3dmap VERB --help` teaches each verb.

  deep3dmap benchmark suite=face tier=smoke
  deep3dmap leaderboard"""

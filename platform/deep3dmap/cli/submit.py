"""`deep3dmap submit -- VERB ...`: run a verb as a job on a Ray cluster, with the locally installed code."""

import asyncio
import json
import os
import shlex
import sys
import tempfile
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.core.errors import UserError, unknown

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
VERBS = ("train", "tune", "benchmark", "evaluate", "data", "doctor", "methods")
VERBS_WITH_RESULTS = ("train", "tune", "benchmark", "evaluate")
EXAMPLES = """\
  deep3dmap submit -- benchmark suite=face tier=quick seeds=3 results=/shared/results
  deep3dmap submit --address http://127.0.0.1:8265 -- train method=prnet dataset=heads trainer.workers=8 results=/shared/results
  deep3dmap submit --with my_method.py -- train method=my_method:MyMethod dataset=heads results=/shared/results
  deep3dmap submit --no-wait -- tune method=prnet/mini dataset=heads/smoke results=/shared/results"""


def main(argv: list[str]) -> int:
    """Run the verb; exit code 0 if the job succeeded, or was submitted with --no-wait, 1 if it failed."""
    parser = VerbParser("submit", _describe(), EXAMPLES)
    parser.add_argument("--address", default="", help=f"the job server (default: $RAY_API_SERVER_ADDRESS or {DEFAULT_ADDRESS})")
    parser.add_argument("--with", dest="extra", type=Path, action="append", default=[], help="also ship this file or folder")
    parser.add_argument("--no-wait", action="store_true", help="submit the job and exit without following its log")
    parser.add_argument("--name", default="", help="name of the job (default: chosen by Ray)")
    parser.add_argument("--json", action="store_true", help="print the status of the job as JSON")
    own, verb = _split_arguments(argv)
    flags = parser.parse_args(own)
    storage = check_command(verb)
    address = flags.address or os.environ.get("RAY_API_SERVER_ADDRESS") or DEFAULT_ADDRESS
    client = _connect(address)
    # Imported here to keep --help fast.
    from deep3dmap.cluster.upload import build_upload

    _print_message("packing the code")
    with tempfile.TemporaryDirectory(prefix="deep3dmap-") as scratch:
        upload = build_upload(Path(scratch) / "ship", flags.extra)
        _print_message(f"uploading {len(upload.files)} files, {upload.bytes / 2**20:.1f} MiB, code {upload.code_hash}")
        for name in upload.untracked:
            _print_message(f"not tracked by git, so not sent: {name}")
        command = f"python -m deep3dmap.cluster.submitted_job {upload.code_hash} {storage or '-'} -- {shlex.join(verb)}"
        job = _submit(client, command, str(upload.folder), flags.name)
    _print_message(f"job {job} at {address}")
    return _print_submitted(client, job, flags.json) if flags.no_wait else _follow(client, job, flags.json)


def check_command(verb: list[str]) -> str:
    """Return the results folder that all nodes must share, "" if there is none.

    Raises UserError for a verb that cannot run as a job, and for a relative path, which would not exist there.
    """
    if not verb:
        raise UserError("which verb? write it after two dashes: deep3dmap submit -- benchmark suite=face ...")
    if verb[0] not in VERBS:
        raise unknown("verb of a job", verb[0], VERBS)
    values = dict(text.split("=", 1) for text in verb[1:] if "=" in text and not text.startswith("-"))
    if verb[0] in VERBS_WITH_RESULTS and "results" not in values:
        raise UserError("a job needs results=: the absolute path of a folder that all nodes share")
    for key, value in values.items():
        is_place = key in ("results", "data.cache", "from", "best") or key.endswith((".root", ".weights"))
        if is_place and value and "://" not in value and not value.startswith("/"):
            raise UserError(f"{key}={value}: a job runs elsewhere; give an absolute path on storage that all nodes share")
    results = values.get("results", "").removeprefix("file://")
    return "" if "://" in results else results


def _split_arguments(argv: list[str]) -> tuple[list[str], list[str]]:
    at = argv.index("--") if "--" in argv else len(argv)
    return argv[:at], argv[at + 1 :]


def _describe() -> str:
    return f"""Run a verb as a job on a Ray cluster, with the locally installed code.

The installed package is shipped with the job; an editable install is built from its tracked files. The job verifies that it
runs the code that was sent, and that all nodes share the results folder. The address may be set in $RAY_API_SERVER_ADDRESS;
the token of a cluster that requires one in $RAY_AUTH_TOKEN or ~/.ray/auth_token.

verbs: {" ".join(VERBS)}"""


def _connect(address: str) -> Any:
    if "RAY_AUTH_MODE" not in os.environ and _requires_token(address):
        # Ray reads this variable once, at import, and sends no token without it.
        os.environ["RAY_AUTH_MODE"] = "token"
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except AuthenticationError as error:
        message = str(error).splitlines()[0]
        raise UserError(f"{address}: {message}; put the head's token in ~/.ray/auth_token or $RAY_AUTH_TOKEN") from error
    except Exception as error:  # any error of the network or the server
        raise UserError(f"{address}: no job server answers ({_one_line(error)}); is the head node running?") from error


def _requires_token(address: str) -> bool:
    """Return whether a job server rejects requests without a token; False if it does not answer."""
    try:
        urlopen(f"{address.rstrip('/')}/api/version", timeout=10).close()
    except HTTPError as error:
        return error.code == HTTPStatus.UNAUTHORIZED
    except (OSError, ValueError):
        return False
    return False


def _submit(client: Any, command: str, folder: str, name: str) -> str:
    try:
        return str(client.submit_job(entrypoint=command, runtime_env={"working_dir": folder}, submission_id=name or None))
    except Exception as error:  # for example a name already in use, or a server that went away
        raise UserError(f"the job server rejected the job: {_one_line(error)}") from error


def _print_submitted(client: Any, job: str, as_json: bool) -> int:
    _print_message(f"follow it with: ray job logs --follow --address {client.get_address()} {job}")
    if as_json:
        print(json.dumps({"job": job, "status": str(client.get_job_status(job).value)}))
    return 0


def _follow(client: Any, job: str, as_json: bool) -> int:
    try:
        asyncio.run(_print_log(client, job))
    except KeyboardInterrupt:
        if not _confirm_stop():
            _print_message(f"the job is still running; stop it with: ray job stop --address {client.get_address()} {job}")
            return 130
        client.stop_job(job)
        _print_message("stopping the job")
    info = client.get_job_info(job)
    status = str(info.status.value)
    if as_json:
        print(json.dumps({"job": job, "status": status, "message": info.message}))
    elif status != "SUCCEEDED":
        _print_message(f"job {job}: {status.lower()}: {_one_line(info.message)}")
    return 0 if status == "SUCCEEDED" else 1


async def _print_log(client: Any, job: str) -> None:
    async for text in client.tail_job_logs(job):
        print(text, end="", file=sys.stderr if text.startswith("deep3dmap: ") else sys.stdout, flush=True)


def _confirm_stop() -> bool:
    if not sys.stdin.isatty():
        return False
    try:
        return input("\nstop the job as well? [y/N] ").strip().lower().startswith("y")
    except (EOFError, KeyboardInterrupt):
        return False


def _one_line(error: object) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no reason given"


def _print_message(text: str) -> None:
    print(f"deep3dmap: {text}", file=sys.stderr)

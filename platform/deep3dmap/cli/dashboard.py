"""`deep3dmap dashboard`: browse a result store in the web browser."""

import os
import socket
import sys
from collections.abc import Sequence
from importlib import resources

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.cli.leaderboard import existing_place
from deep3dmap.core.errors import UserError
from deep3dmap.data.cache import default_cache

DESCRIPTION = """\
Browse a result store in the web browser: leaderboard, single runs with their pictures and curves, the methods,
datasets and suites behind them, and what is running. It reads the tables only, and follows a benchmark as it runs.

keys:
  results=       the store, a folder or a URI (default: results/)"""
EXAMPLES = """\
  deep3dmap dashboard
  deep3dmap dashboard results=s3://bucket/results --port 9000
  deep3dmap dashboard --export site/         plain files, which open from a disk or any web server
  ssh -L 8501:localhost:8501 gpu-box deep3dmap dashboard results=/data/results"""
RESULTS_VARIABLE, KEPT_VARIABLE = "DEEP3DMAP_DASHBOARD_RESULTS", "DEEP3DMAP_DASHBOARD_KEPT"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
ANY_ADDRESS = ("0.0.0.0", "::")
BLUES = {"light": "#0072B2", "dark": "#56B4E9"}


def main(argv: list[str]) -> int:
    """Run the verb; this process becomes the server, so that whoever stops it stops the server."""
    parser = VerbParser("dashboard", DESCRIPTION, EXAMPLES)
    parser.add_argument("--port", type=int, default=8501, help="the port to serve on (default: 8501)")
    parser.add_argument("--address", default="127.0.0.1", help="the address to listen on (default: this machine only)")
    parser.add_argument("--export", metavar="FOLDER", help="write a static site into FOLDER instead of serving")
    parser.add_argument("--host", action="append", default=[], help="a further name under which browsers may reach it")
    flags, pairs = parser.parse(argv)
    uri = existing_place(pairs)
    if flags.export is not None:
        os.execve(sys.executable, export_command(uri, flags.export), dict(os.environ))
    _check_free(flags.address, flags.port)
    print(f"dashboard of {uri}: http://{flags.address}:{flags.port} (Ctrl+C stops it)", flush=True)
    places = {RESULTS_VARIABLE: uri, KEPT_VARIABLE: str(default_cache() / "dashboard")}
    os.execve(sys.executable, server_command(flags.address, flags.port, flags.host), {**os.environ, **places})


def server_command(address: str, port: int, names: Sequence[str] = ()) -> list[str]:
    """Return the command line of the server, which finds the store in its environment. names: further names of this host."""
    options = {
        "server.headless": "true",
        "server.address": address,
        "server.port": str(port),
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
    }
    # Themes of both kinds, so that the viewer's system chooses.
    options |= {f"theme.{kind}.primaryColor": color for kind, color in BLUES.items()}
    pairs = [*options.items(), *(("server.allowedHosts", name) for name in _hosts(address, names))]
    flags = [part for name, value in pairs for part in (f"--{name}", value)]
    app = str(resources.files("deep3dmap.dashboard") / "server.py")
    return [sys.executable, "-P", "-m", "deep3dmap.dashboard", "run", app, *flags]


def export_command(uri: str, folder: str) -> list[str]:
    """Return the command line that writes a store as a static site."""
    return [sys.executable, "-P", "-m", "deep3dmap.dashboard.site", uri, folder]


def _hosts(address: str, names: Sequence[str]) -> list[str]:
    """Return the names that a browser may ask for. A page whose name was made to lead here (DNS rebinding) has another one."""
    own = [socket.gethostname(), *_addresses()] if address in ANY_ADDRESS else [address]
    return list(dict.fromkeys([*LOOPBACK, *own, *names]))


def _addresses() -> list[str]:
    try:
        return sorted({str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None)})
    except OSError:
        return []


def _check_free(address: str, port: int) -> None:
    # The server would say so as well, after seconds and in its own words.
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot serve on {address}:{port}: {reason}; choose another --port or --address") from error

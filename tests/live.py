"""A web server in this process, with a database of its own: for a browser and rows side by side.

`live.rows()` is a place to make or look at rows; what it made is committed when it ends.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.serving import make_server

from campaign.app import create_app
from campaign.db import Model, db
from campaign.settings import Settings
from tests.stack import free_port

KEY = "live-key-0123456789-abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Live:
    """Where it listens, and its application."""

    url: str
    app: Flask

    @contextmanager
    def rows(self) -> Iterator[None]:
        with self.app.app_context():
            yield
            db.session.commit()
            db.session.remove()


@contextmanager
def serve(folder: Path) -> Iterator[Live]:
    """A server on a free port until the end of the block."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    app = create_app(Settings(secret_key=KEY, data_dir=folder, base_url=url))
    with app.app_context():
        Model.metadata.create_all(db.engine)
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Live(url, app)
    finally:
        server.shutdown()
        thread.join(10)
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with serve(tmp_path) as running:
        yield running

"""Log-in, log-out, reset, sessions."""

from __future__ import annotations

from flask import Blueprint, Flask

blueprint = Blueprint("accounts", __name__)


def init_app(app: Flask) -> None:
    """Flask-Login, and who a request is."""

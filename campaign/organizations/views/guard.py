"""Who may use an endpoint, decided before any view runs."""

from __future__ import annotations

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the guard."""

"""What every console page stands in: navigation, organizations to switch to."""

from __future__ import annotations

from flask import Flask


def init_app(app: Flask) -> None:
    """Give the console's templates their frame."""

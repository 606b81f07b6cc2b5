"""Commands that run the house: up, demo, seed, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask_migrate import Migrate

COMMANDS: tuple[click.Command, ...] = ()
MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def init_migrations(app: Flask, database: Any, model: Any) -> None:
    """`campaign db …`."""
    Migrate(app, database, directory=str(MIGRATIONS), render_as_batch=True, compare_type=True)

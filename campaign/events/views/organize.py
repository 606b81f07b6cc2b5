"""The console's pages to write events, their dates and hosts."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("organize_events", __name__)

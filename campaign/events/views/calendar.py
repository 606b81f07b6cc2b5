"""The calendar: list, month and feeds."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("calendar", __name__)

"""Did you come? Asked after the event."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("checkin", __name__)

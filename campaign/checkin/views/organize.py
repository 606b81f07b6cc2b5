"""The door: sign in by QR, list or sheet, count heads, report."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("organize_checkin", __name__)

"""The front page and a campaign's public page."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("campaigns", __name__)

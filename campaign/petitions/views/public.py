"""A petition: read, sign, confirm, thanks, withdraw."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("petitions", __name__)

"""The console's pages of a hearing."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("organize_hearings", __name__)

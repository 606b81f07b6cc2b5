"""Lists, segments and imports in the console."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("lists", __name__)

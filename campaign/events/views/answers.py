"""The console's pages about who comes."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("organize_answers", __name__)

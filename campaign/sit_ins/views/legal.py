"""The legal role's pages."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("legal", __name__)

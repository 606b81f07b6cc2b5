"""One person's page in the console, with the history from every slice."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("person", __name__)

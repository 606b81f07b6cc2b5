"""A speaker's pages: ask to speak, draft, tasks, plan B."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("hearings", __name__)

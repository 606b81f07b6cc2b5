"""What an organizer sees of buddies: numbers."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("organize_buddies", __name__)

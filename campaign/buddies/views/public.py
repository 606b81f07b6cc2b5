"""A buddy's pages: agree, decline, block."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("buddies", __name__)

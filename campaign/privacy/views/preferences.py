"""What we hold about you, without an account: `/me/<token>`."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("privacy", __name__)

"""Petitions and signatures in the console."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("organize_petitions", __name__)

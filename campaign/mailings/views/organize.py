"""Mailings in the console."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("mailings", __name__)

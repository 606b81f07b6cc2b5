"""Unsubscribe: a page, and RFC 8058's one-click POST."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("unsubscribe", __name__)

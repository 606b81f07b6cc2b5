"""Signed events from the provider."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("webhook", __name__)

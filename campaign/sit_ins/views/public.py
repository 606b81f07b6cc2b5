"""The briefing, and the list of those who risk arrest."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("sit_ins", __name__)

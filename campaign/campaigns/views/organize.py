"""Campaigns, clinics and milestones in the console."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("organize_campaigns", __name__)

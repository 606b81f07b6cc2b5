"""Volunteer hosts: propose an event, say yes to hosting."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("hosts", __name__)

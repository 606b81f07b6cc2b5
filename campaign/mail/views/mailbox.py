"""Development's inbox: nothing leaves the machine."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("mailbox", __name__)

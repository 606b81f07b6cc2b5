"""Logs: ids, never a name, an address, a token or a body. JSON or text, one line an event."""

from __future__ import annotations

import logging
import re
from typing import Any

import structlog

ADDRESS = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+\.[a-zA-Z]{2,}")
TOKEN_PATHS = re.compile(r"/(me|confirm|unsubscribe|rsvp|go|reset|invitation|withdraw)/[^\s/?\"]+")


def scrub(text: str) -> str:
    """`text` without addresses and without the tokens of personal links."""
    return TOKEN_PATHS.sub(r"/\1/…", ADDRESS.sub("…@…", text))


def _scrub_event(_logger: Any, _method: str, event: Any) -> Any:
    return {key: scrub(value) if isinstance(value, str) else value for key, value in event.items()}


def configure(log_format: str, level: int = logging.INFO) -> None:
    """Set up the root logger once for web, worker, beat and commands."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _scrub_event,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("python_http_client", "sendgrid", "urllib3", "kombu", "amqp", "celery.beat"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

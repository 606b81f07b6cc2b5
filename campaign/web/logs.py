"""Logs: ids, never a name, an address, a token or a body. JSON or text, one line an event."""

from __future__ import annotations

import logging
import re
from typing import Any

import structlog

from campaign.settings import SettingsError

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
    for noisy in (
        "python_http_client",
        "sendgrid",
        "urllib3",
        "kombu",
        "amqp",
        "celery.beat",
        "alembic",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def report_errors(dsn: str) -> None:
    """Send unexpected errors to a Sentry-compatible server, scrubbed like the log.

    Nothing of the request or of local variables goes along: no body, no cookie, no address.
    Raises SettingsError when the optional package is not installed.
    """
    if not dsn:
        return
    try:
        import sentry_sdk
    except ModuleNotFoundError:
        raise SettingsError(
            "SENTRY_DSN needs the package sentry-sdk: install the project with its extra [sentry]"
        ) from None
    sentry_sdk.init(
        dsn=dsn,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=scrub_report,
    )


def scrub_report(event: dict[str, Any], _hint: Any) -> dict[str, Any]:
    """A report without request, user and breadcrumbs, and with scrubbed messages."""
    kept = {
        key: value for key, value in event.items() if key not in {"request", "user", "breadcrumbs"}
    }
    for value in (kept.get("exception") or {}).get("values", []):
        value["value"] = scrub(str(value.get("value", "")))
    if isinstance(kept.get("message"), str):
        kept["message"] = scrub(kept["message"])
    return kept

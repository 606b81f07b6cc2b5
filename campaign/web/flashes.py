"""Messages after an action, and undo instead of "are you sure"."""

from __future__ import annotations

from flask import flash


def done(message: str) -> None:
    """It worked."""
    flash(str(message), "success")


def failed(message: str) -> None:
    """It did not."""
    flash(str(message), "error")


def told(message: str) -> None:
    """Something to know."""
    flash(str(message), "info")


def undoable(message: str, url: str) -> None:
    """It worked, and a POST to `url` takes it back."""
    flash({"text": str(message), "url": url}, "undo")  # type: ignore[arg-type]

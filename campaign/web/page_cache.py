"""Rendered public pages, kept in the process for a moment: a crowd reads one rendering.

No key holds a value that every visit changes. When a page has run out, one thread renders it
while the others go on with the last one; nobody waits unless there is none yet.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

from flask import Flask, current_app

Kept = TypeVar("Kept")
KEEP_SECONDS = 2.0
STALE_SECONDS = 8.0
FRESHEN_SECONDS = 0.25
LIMIT = 500


@dataclass(slots=True)
class _Slot(Generic[Kept]):
    value: Kept | None = None
    made_at: float = 0.0
    expires_at: float = 0.0
    filling: Lock = field(default_factory=Lock)


class PageCache:
    """Values by key, for at most two seconds; eight while a new one is being made."""

    def __init__(self) -> None:
        self._slots: dict[Hashable, _Slot[object]] = {}

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """The value of `key`, made when there is none or it is too old. `make` may raise."""
        slot = self._slots.get(key)
        if slot is None:
            if len(self._slots) >= LIMIT:
                self._slots.clear()
            slot = self._slots.setdefault(key, _Slot())
        now = monotonic()
        if slot.value is not None and now < slot.expires_at:
            return slot.value  # type: ignore[return-value]
        is_usable = slot.value is not None and now < slot.made_at + STALE_SECONDS
        if not slot.filling.acquire(blocking=not is_usable):
            return slot.value  # type: ignore[return-value]
        try:
            if slot.value is None or monotonic() >= slot.expires_at:
                slot.value = make()
                slot.made_at = monotonic()
                slot.expires_at = slot.made_at + KEEP_SECONDS
            return slot.value  # type: ignore[return-value]
        except BaseException:
            self._slots.pop(key, None)  # a page that does not exist takes no place
            raise
        finally:
            slot.filling.release()

    def freshen(self) -> None:
        """Something shown has changed: make pages again, each at most four times a second."""
        for slot in list(self._slots.values()):
            slot.expires_at = min(slot.expires_at, slot.made_at + FRESHEN_SECONDS)

    def clear(self) -> None:
        """Forget all pages: after an organizer changed one, for whoever looks next."""
        self._slots.clear()


def page_cache() -> PageCache:
    """The application's cache of pages."""
    found: PageCache = current_app.extensions["pages"]
    return found


def init_app(app: Flask) -> None:
    app.extensions["pages"] = PageCache()

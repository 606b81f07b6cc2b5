"""Rendered public pages, kept in the process for a moment: a crowd reads one rendering.

No key holds a value that every visit changes. When a page has run out, one thread renders it
while the others go on with the last one; nobody waits unless there is none yet. A whole answer
can be kept, too (`keep_answer`): then the next visitors without a cookie get it before Flask.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

from flask import Flask, Response, current_app, g, request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Kept = TypeVar("Kept")
KEEP_SECONDS = 2.0
STALE_SECONDS = 8.0
FRESHEN_SECONDS = 0.25
LIMIT = 500
OWN_HEADERS = frozenset({"X-Request-Id", "Date", "Content-Length"})


@dataclass(slots=True)
class _Slot(Generic[Kept]):
    value: Kept | None = None
    made_at: float = 0.0
    expires_at: float = 0.0
    filling: Lock = field(default_factory=Lock)


@dataclass(frozen=True, slots=True)
class _Answer:
    slot: _Slot[object]
    headers: list[tuple[str, str]]
    body: bytes


class PageCache:
    """Values by key, for at most two seconds; `stale_seconds` while a new one is being made."""

    def __init__(self, stale_seconds: float = STALE_SECONDS) -> None:
        self._stale_seconds = stale_seconds
        self._slots: dict[Hashable, _Slot[object]] = {}
        self._answers: dict[Hashable, _Answer] = {}

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
        is_usable = slot.value is not None and now < slot.made_at + self._stale_seconds
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
        self._answers.clear()

    def keep(self, environ: WSGIEnvironment, key: Hashable, response: Response) -> None:
        """Keep a whole answer as long as the value of `key` is fresh."""
        slot = self._slots.get(key)
        if slot is None or response.status_code != 200 or environ.get("HTTP_COOKIE"):
            return
        if len(self._answers) >= LIMIT:
            self._answers.clear()
        body = response.get_data()
        headers = [pair for pair in response.headers.to_wsgi_list() if pair[0] not in OWN_HEADERS]
        headers.append(("Content-Length", str(len(body))))
        self._answers[_asked(environ)] = _Answer(slot, headers, body)

    def answer(self, environ: WSGIEnvironment) -> _Answer | None:
        """The kept answer to exactly this question, if it is fresh."""
        if environ["REQUEST_METHOD"] != "GET" or environ.get("HTTP_COOKIE"):
            return None
        found = self._answers.get(_asked(environ))
        if found is None or "HTTP_IF_NONE_MATCH" in environ:
            return None
        return found if monotonic() < found.slot.expires_at else None


def _asked(environ: WSGIEnvironment) -> Hashable:
    """All that an answer to a visitor without a cookie depends on."""
    return (
        environ.get("HTTP_HOST"),
        environ["PATH_INFO"],
        environ.get("QUERY_STRING"),
        environ.get("HTTP_ACCEPT_LANGUAGE"),
        environ["wsgi.url_scheme"],
    )


def keep_answer(key: Hashable) -> None:
    """Let the answer of this request be kept, as long as the value of `key` is fresh."""
    g.kept_answer = key


def page_cache() -> PageCache:
    """The application's cache of pages."""
    found: PageCache = current_app.extensions["pages"]
    return found


def init_app(app: Flask) -> None:
    """Put the kept answers in front; must come after everything else that adds headers."""
    pages = app.extensions["pages"] = PageCache()
    inner = app.wsgi_app

    def front(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        kept = pages.answer(environ)
        if kept is None:
            return inner(environ, start_response)
        start_response("200 OK", list(kept.headers))
        return (kept.body,)

    app.wsgi_app = front  # type: ignore[method-assign]

    def keep(response: Response) -> Response:
        key = g.pop("kept_answer", None)
        if key is not None:
            pages.keep(request.environ, key, response)
        return response

    # Functions run in the reverse of their order: the first one sees all headers.
    app.after_request_funcs.setdefault(None, []).insert(0, keep)

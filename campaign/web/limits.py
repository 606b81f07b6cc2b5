"""Counting how often, by source: in Redis for several processes, in memory for one.

When Redis is away the count goes on in memory: limits are never off, and no request waits.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
import time
from functools import lru_cache

from flask import Flask, current_app, request
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

from campaign.settings import Settings

log = logging.getLogger(__name__)
RETRY_SHARED_SECONDS = 5.0
MOST_WINDOWS = 200_000


Window = tuple[int, int, tuple[str, ...]]
"""What is counted together: how many, in how many seconds, of whom."""


def _name(item: RateLimitItem, key: tuple[str, ...]) -> Window:
    return item.amount, item.get_expiry(), key


class Windows:
    """Counts in this process: a window begins with its first hit and ends after its length."""

    def __init__(self) -> None:
        self._windows: dict[Window, tuple[int, float]] = {}
        self._guard = threading.Lock()

    def hit(self, item: RateLimitItem, *key: str, cost: int = 1) -> bool:
        """Count `cost`; whether the window still holds it."""
        name, now = _name(item, key), time.monotonic()
        with self._guard:
            count, ends_at = self._windows.get(name, (0, 0.0))
            if ends_at <= now:
                count, ends_at = 0, now + item.get_expiry()
                if len(self._windows) >= MOST_WINDOWS:
                    self._forget_old(now)
            self._windows[name] = (count + cost, ends_at)
        return count + cost <= item.amount

    def test(self, item: RateLimitItem, *key: str) -> bool:
        """Whether one more would be within the limit."""
        count, ends_at = self._windows.get(_name(item, key), (0, 0.0))
        return ends_at <= time.monotonic() or count + 1 <= item.amount

    def clear(self, item: RateLimitItem, *key: str) -> None:
        self._windows.pop(_name(item, key), None)

    def reset(self) -> None:
        self._windows.clear()

    def _forget_old(self, now: float) -> None:
        """Drop what is over; if all still run, the half that ends first: memory stays bounded."""
        running = {name: kept for name, kept in self._windows.items() if kept[1] > now}
        if len(running) >= MOST_WINDOWS:
            last = sorted(running.items(), key=lambda pair: pair[1][1])[MOST_WINDOWS // 2 :]
            running = dict(last)
        self._windows = running


class Limiter:
    """Counts hits in windows. `hit` says whether this one is still within the limit."""

    def __init__(self, settings: Settings) -> None:
        self._memory = Windows()
        self._shared: FixedWindowRateLimiter | None = None
        self._shared_again_at = 0.0
        self._items: dict[str, RateLimitItem] = {}
        if settings.redis_url:
            storage = storage_from_string(
                settings.redis_url,
                socket_timeout=0.2,
                socket_connect_timeout=0.2,
                key_prefix="campaign-limits",
                wrap_exceptions=True,
            )
            self._shared = FixedWindowRateLimiter(storage)

    def _item(self, rule: str) -> RateLimitItem:
        if rule not in self._items:
            self._items[rule] = parse(rule)
        return self._items[rule]

    def hit(self, rule: str, *key: str, cost: int = 1) -> bool:
        """Count `cost` against `rule` ("5 per 15 minutes") for `key`; False when over it."""
        item = self._item(rule)
        if self._shared is not None and time.monotonic() >= self._shared_again_at:
            try:
                return self._shared.hit(item, *key, cost=cost)
            except (StorageError, RedisError, OSError):
                self._shared_again_at = time.monotonic() + RETRY_SHARED_SECONDS
                log.warning("limits count in memory: Redis is away")
        return self._memory.hit(item, *key, cost=cost)

    def is_within(self, rule: str, *key: str) -> bool:
        """Whether one more would be within `rule`, without counting it."""
        item = self._item(rule)
        if self._shared is not None and time.monotonic() >= self._shared_again_at:
            try:
                return self._shared.test(item, *key)
            except (StorageError, RedisError, OSError):
                self._shared_again_at = time.monotonic() + RETRY_SHARED_SECONDS
        return self._memory.test(item, *key)

    def reset(self) -> None:
        """Forget everything counted in this process's memory."""
        self._memory.reset()

    def clear(self, rule: str, *key: str) -> None:
        """Forget the count of `key`."""
        item = self._item(rule)
        self._memory.clear(item, *key)
        if self._shared is not None:
            try:
                self._shared.clear(item, *key)
            except (StorageError, RedisError, OSError):
                log.warning("a limit could not be cleared: Redis is away")


def limiter() -> Limiter:
    found: Limiter = current_app.extensions["limiter"]
    return found


def source_network(address: str | None = None) -> str:
    """Who is counted as one source: an IPv4 address, or the /64 of an IPv6 one."""
    return _network_of(address if address is not None else (request.remote_addr or ""))


@lru_cache(maxsize=4096)
def _network_of(raw: str) -> str:
    try:
        socket.inet_pton(socket.AF_INET, raw)  # nearly all, and each of them only once
        return raw
    except (OSError, ValueError):
        pass
    try:
        parsed = ipaddress.ip_address(raw.split("%", maxsplit=1)[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), 64), strict=False).supernet(new_prefix=64))
    return str(parsed)


def init_app(app: Flask, settings: Settings) -> None:
    app.extensions["limiter"] = Limiter(settings)

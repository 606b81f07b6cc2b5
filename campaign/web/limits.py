"""Counting how often, by source: in Redis for several processes, in memory for one.

When Redis is away the count goes on in memory: limits are never off, and no request waits.
"""

from __future__ import annotations

import ipaddress
import logging
import time

from flask import Flask, current_app, request
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

from campaign.settings import Settings

log = logging.getLogger(__name__)
RETRY_SHARED_SECONDS = 5.0


class Limiter:
    """Counts hits in windows. `hit` says whether this one is still within the limit."""

    def __init__(self, settings: Settings) -> None:
        self._memory = FixedWindowRateLimiter(MemoryStorage())
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
        self._memory.storage.reset()

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
    raw = address if address is not None else (request.remote_addr or "")
    try:
        parsed = ipaddress.ip_address(raw.split("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), 64), strict=False).supernet(new_prefix=64))
    return str(parsed)


def init_app(app: Flask, settings: Settings) -> None:
    app.extensions["limiter"] = Limiter(settings)

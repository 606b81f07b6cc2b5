"""Celery bound to Flask, and the doorbell rule: a task leaves only after the commit.

The database is the queue; a task is a wake-up call that may be lost, repeated or late. So its
arguments are ids as strings, publishing is best effort with a short timeout, and the beat finds
whatever a lost call left lying.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any

import celery
from celery import Celery, signals
from flask import Flask, current_app, has_app_context
from kombu import Queue as KombuQueue
from kombu.exceptions import KombuError
from kombu.transport import redis as redis_transport
from kombu.transport import virtual
from redis.exceptions import RedisError
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from campaign.db import db
from campaign.settings import Settings

log = logging.getLogger(__name__)


class Queue(StrEnum):
    """One organization's mass mailing never delays another's confirmation."""

    TRANSACTIONAL = "transactional"
    BULK = "bulk"
    MAINTENANCE = "maintenance"


POLL_SECONDS = 0.3
"""How often an embedded worker looks into its broker file: what a confirmation waits at most."""
ROUTES: dict[str, dict[str, str]] = {}
"""Task name → its queue, filled where tasks are declared."""


class Task(celery.Task):
    """Runs inside an app context of its own; whatever it did not commit is rolled back."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        flask_app: Flask | None = getattr(self.app, "flask_app", None)
        if flask_app is None:  # pragma: no cover - a task without an app is a programming error
            raise RuntimeError("no Flask app is bound to Celery: start it with -A wsgi:celery")
        with flask_app.app_context():
            return self.run(*args, **kwargs)


def task(
    *, queue: Queue, time_limit: int = 300, **options: Any
) -> Callable[[Callable[..., Any]], Any]:
    """Declare a task. `time_limit` in seconds, well below the broker's visibility timeout."""

    def register(function: Callable[..., Any]) -> Any:
        name = f"{function.__module__}.{function.__name__}"
        ROUTES[name] = {"queue": queue.value}
        return celery.shared_task(
            base=Task,
            name=name,
            ignore_result=True,
            time_limit=time_limit + 30,
            soft_time_limit=time_limit,
            **options,
        )(function)

    return register


def make_celery(app: Flask, settings: Settings) -> Celery:
    """The Celery application of this Flask application, also at `app.extensions["celery"]`."""
    queue = Celery(app.import_name, set_as_current=True)
    queue.flask_app = app
    transport: dict[str, Any] = {}
    if settings.redis_url:
        redis_transport.Channel.QoS = _QoS
        transport = {
            "global_keyprefix": "campaign:",
            "visibility_timeout": 1800,
            "socket_timeout": 5,
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
            "retry_on_timeout": True,
            "health_check_interval": 25,
        }
    else:
        from kombu.transport.sqlalchemy import Transport

        Transport.polling_interval = POLL_SECONDS  # its options would go to create_engine
    queue.conf.update(
        broker_url=settings.broker_url,
        broker_transport_options=transport,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=2,
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_publish_retry=False,
        task_default_queue=Queue.MAINTENANCE.value,
        task_queues=[KombuQueue(name.value) for name in Queue],
        task_routes=ROUTES,
        task_create_missing_queues=False,
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_max_memory_per_child=400_000,
        timezone="UTC",
        enable_utc=True,
        beat_max_loop_interval=5,
        beat_schedule_filename=str(settings.data_dir / "beat-schedule"),
        imports=(),
    )
    queue.set_default()
    app.extensions["celery"] = queue
    return queue


class _QoS(redis_transport.QoS):
    """Counts what this worker has in hand, so that it takes no more than it can do.

    Kombu goes on counting a call whose acknowledgement did not reach Redis. A worker that was
    busy in each of its processes while Redis was away would never take anything again.
    """

    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)
        except (RedisError, OSError):
            virtual.QoS.ack(self, delivery_tag)
            raise


def same_app() -> Callable[[], AbstractContextManager[object]]:
    """Enters, in another thread, the application that this one works in."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return app.app_context


def enqueue(function: Any, *ids: uuid.UUID | str | int, countdown: float | None = None) -> None:
    """Ask for `function` to run once the transaction has committed; forget it on rollback.

    `countdown` is in seconds, 60 at the most: anything later is a row that the beat finds.
    """
    arguments = tuple(str(part) if isinstance(part, uuid.UUID) else part for part in ids)
    session = db.session()
    calls = session.info.setdefault("doorbell", {})
    calls[(function.name, arguments)] = (function, countdown)


def declared(name: str) -> Any:
    """The task of this full name, for a file below the one that declares it."""
    return celery.current_app.tasks[name]


def ring_now(function: Any, *ids: uuid.UUID | str | int) -> None:
    """Ask for `function` at once: what it works on is committed already."""
    arguments = tuple(str(part) if isinstance(part, uuid.UUID) else part for part in ids)
    doorbell.ring(function, arguments, None)


@event.listens_for(Session, "after_commit")
def _ring(session: Session) -> None:
    if session.in_nested_transaction():
        return
    for call, (function, countdown) in session.info.pop("doorbell", {}).items():
        doorbell.ring(function, call[1], countdown)


@event.listens_for(Session, "after_rollback")
def _forget(session: Session) -> None:
    if not session.in_nested_transaction():
        session.info.pop("doorbell", None)


class Doorbell:
    """Publishes calls from a thread of its own, so that no request ever waits for the broker.

    The same call asked for many times within `interval` seconds is published once: a thousand
    signatures ring once. A broker that is down costs time (the beat finds the rows), never more.
    """

    def __init__(self, interval: float = 0.5) -> None:
        self.interval = interval
        self._calls: dict[tuple[str, tuple[Any, ...]], tuple[Any, float | None]] = {}
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._pid = 0

    def ring(self, function: Any, arguments: tuple[Any, ...], countdown: float | None) -> None:
        """Publish soon. Returns at once."""
        if (function.name, arguments) in self._calls:
            return  # whoever asked first waits for the same bell, which has not rung yet
        with self._guard:
            self._calls[(function.name, arguments)] = (function, countdown)
            self._idle.clear()
            if self._pid != os.getpid():  # a forked child has no thread yet
                self._pid = os.getpid()
                threading.Thread(target=self._run, name="doorbell", daemon=True).start()
        self._wake.set()

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until all calls are out, at most `timeout` seconds: for the end of a command."""
        return self._idle.wait(timeout)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            with self._guard:
                calls, self._calls = self._calls, {}
            for (name, arguments), (function, countdown) in calls.items():
                try:
                    function.apply_async(args=arguments, countdown=countdown, retry=False)
                except (KombuError, RedisError, DBAPIError, OSError) as error:
                    log.warning("doorbell not rung: %s, %s", name, type(error).__name__)
            with self._guard:
                if not self._calls:
                    self._idle.set()
            time.sleep(self.interval)


doorbell = Doorbell()
atexit.register(lambda: doorbell.flush(2.0))


def _dispose_engines(**_: Any) -> None:
    """A forked worker must not speak on its parent's database connections."""
    flask_app = getattr(celery.current_app, "flask_app", None)
    if flask_app is not None:
        with flask_app.app_context():
            for engine in db.engines.values():
                engine.dispose(close=False)


signals.worker_process_init.connect(_dispose_engines, weak=False)


def _remove_session(**_: Any) -> None:
    if has_app_context():
        db.session.remove()


signals.task_postrun.connect(_remove_session, weak=False)

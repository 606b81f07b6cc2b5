"""Whether the house stands: /healthz, /readyz, /metrics.

/healthz says that this process answers, nothing more: it is for a load balancer, which must not
take the pages away because a mail worker is down. /readyz says whether everything works, mail
included, and is for whoever watches. /metrics counts, and names nobody.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus

from flask import Blueprint, Response, current_app, g, jsonify, request, request_started
from flask.blueprints import BlueprintSetupState
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from campaign import clock
from campaign.db import db
from campaign.errors import Forbidden
from campaign.mail.models import Attempt, Batch, BatchState, Chunk, Delivery, DeliveryState
from campaign.operations import migrations
from campaign.petitions.models import Signature
from campaign.web.access import machine, public
from campaign.web.requests import settings

SINGLE_LATE_SECONDS = 90.0
BULK_SILENT_SECONDS = 600.0
COUNTS_KEPT_SECONDS = 15.0
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

blueprint = Blueprint("operations", __name__)
own_registry = CollectorRegistry()
requests_total = Counter(
    "campaign_requests",
    "Requests answered",
    ["endpoint", "method", "status"],
    registry=own_registry,
)
request_seconds = Histogram(
    "campaign_request_seconds",
    "Time to answer, in seconds",
    ["endpoint"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
    registry=own_registry,
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """E-mails that are due and not yet sent: how many requests, and for how long the oldest."""

    count: int
    oldest_seconds: float


def waiting(*, bulk: bool) -> Waiting:
    """What is due now among bulk or single e-mails. A paused mailing is not due."""
    now = clock.now()
    count, oldest = db.session.execute(
        select(func.count(), func.min(Chunk.next_attempt_at))
        .join(Batch, Batch.id == Chunk.batch_id)
        .where(
            Chunk.state.in_((DeliveryState.QUEUED, DeliveryState.RETRY)),
            Chunk.priority > 0 if bulk else Chunk.priority == 0,
            Chunk.next_attempt_at <= now,
            Batch.state == BatchState.RELEASED,
        )
    ).one()
    return Waiting(count, (now - oldest).total_seconds() if count else 0.0)


@blueprint.get("/healthz")
@public
def healthz() -> Response:
    """This process answers."""
    response = Response("ok\n", mimetype="text/plain")
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get("/readyz")
@public
def readyz() -> Response:
    """Whether all parts work; 503 and the reasons when one does not."""
    reasons: list[str] = []
    found: dict[str, object] = {}
    try:
        if not migrations.is_at_head():
            reasons.append("the database is not migrated: run `campaign migrate`")
        else:
            single, bulk = waiting(bulk=False), waiting(bulk=True)
            found["mail"] = {
                "oldest_due_seconds": round(max(single.oldest_seconds, bulk.oldest_seconds), 1),
                "due": {"single": single.count, "bulk": bulk.count},
            }
            reasons += _late(single, bulk)
    except (DBAPIError, PoolTimeout):
        db.session.rollback()
        reasons.append("the database cannot be reached")
    response = jsonify(ready=not reasons, reasons=reasons, **found)
    response.status_code = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    response.headers["Cache-Control"] = "no-store"
    return response


def _late(single: Waiting, bulk: Waiting) -> Iterator[str]:
    if single.oldest_seconds > SINGLE_LATE_SECONDS:
        yield f"an e-mail has been due for {single.oldest_seconds:.0f} s: do the workers run?"
    if bulk.oldest_seconds > BULK_SILENT_SECONDS:
        last = db.session.scalar(select(func.max(Attempt.started_at)))
        if last is None or (clock.now() - last).total_seconds() > BULK_SILENT_SECONDS:
            yield f"a mailing has been due for {bulk.oldest_seconds:.0f} s and nothing is sent"


@blueprint.get("/metrics")
@machine
def metrics() -> Response:
    """Counts for Prometheus: with METRICS_TOKEN as bearer, or on this machine in development."""
    _need_metrics_right()
    registry = CollectorRegistry()
    try:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    except ValueError:  # one web process: its own counts are all there are
        registry = own_registry
    body = generate_latest(registry) + generate_latest(_rows())
    response = Response(body, content_type="text/plain; version=0.0.4; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    return response


def _need_metrics_right() -> None:
    token = settings().metrics_token
    if token:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise Forbidden
    elif not (settings().is_development and request.remote_addr in {"127.0.0.1", "::1"}):
        raise Forbidden


class _Rows:
    """What the tables hold, counted at most every few seconds however many scrape."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._counted_at = 0.0
        self._families: list[Metric] = []

    def collect(self) -> Iterable[Metric]:
        with self._guard:
            if time.monotonic() - self._counted_at > COUNTS_KEPT_SECONDS:
                self._families = list(_count())
                self._counted_at = time.monotonic()
            return self._families


def _rows() -> CollectorRegistry:
    """One set of counts for each application."""
    registry: CollectorRegistry | None = current_app.extensions.get("row_metrics")
    if registry is None:
        registry = current_app.extensions["row_metrics"] = CollectorRegistry()
        registry.register(_Rows())
    return registry


def _count() -> Iterator[Metric]:
    signatures = GaugeMetricFamily("campaign_signatures", "Signatures", labels=["state"])
    by_state = select(Signature.state, func.count()).group_by(Signature.state)
    for state, count in db.session.execute(by_state):
        signatures.add_metric([str(state)], count)
    yield signatures
    deliveries = GaugeMetricFamily("campaign_deliveries", "E-mails", labels=["state"])
    state_now = func.coalesce(Delivery.state, Chunk.state)
    by_state_now = (
        select(state_now, func.count())
        .select_from(Delivery)
        .outerjoin(Chunk, Chunk.id == Delivery.chunk_id)
        .group_by(state_now)
    )
    for state, count in db.session.execute(by_state_now):
        deliveries.add_metric([str(state)], count)
    yield deliveries
    due = GaugeMetricFamily("campaign_mail_due", "Requests to the provider due", labels=["kind"])
    age = GaugeMetricFamily(
        "campaign_mail_oldest_due_seconds", "Age of the oldest due e-mail", labels=["kind"]
    )
    for kind, found in (("single", waiting(bulk=False)), ("bulk", waiting(bulk=True))):
        due.add_metric([kind], found.count)
        age.add_metric([kind], found.oldest_seconds)
    yield due
    yield age


def _begin(_app: object, **_: object) -> None:
    g.started_at = time.perf_counter()


@blueprint.record_once
def _time_requests(state: BlueprintSetupState) -> None:
    """Start the watch before any guard, so that a refused request is timed, too."""
    request_started.connect(_begin, state.app)
    state.app.extensions["observers"].append(_note)  # for what is answered before Flask


@blueprint.after_app_request
def _observe(response: Response) -> Response:
    started_at = g.get("started_at")
    taken = None if started_at is None else time.perf_counter() - started_at
    _note(request.endpoint or "none", request.method, response.status_code, taken)
    return response


def _note(endpoint: str, method: str, status: int, taken: float | None) -> None:
    """One request more, which took so many seconds."""
    total, seconds = _measures(endpoint, method if method in METHODS else "other", status)
    total.inc()
    if taken is not None:
        seconds.observe(taken)


@lru_cache(maxsize=4096)
def _measures(endpoint: str, method: str, status: int) -> tuple[Counter, Histogram]:
    """The two lines that a request is counted in, looked up once."""
    total = requests_total.labels(endpoint, method, str(status))
    return total, request_seconds.labels(endpoint)
